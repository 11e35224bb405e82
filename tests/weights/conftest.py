from __future__ import annotations

import torch

from helpers.own_environment import own_environment as own_environment

torch.set_num_threads(1)
