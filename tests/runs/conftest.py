from __future__ import annotations

from helpers.talk_clip import clip as clip
from helpers.talk_clip import source as source
