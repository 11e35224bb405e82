"""GASP over the maps in the 2021 folders, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gasp import create_model
from gasp.datasets.grouped import GroupedVideo, modality_name
from gasp.errors import UsageError
from gasp.fusion.gasp import Fused, FusionNetwork, GaspFusion
from gasp.networks.gasp import GASP
from gasp.published.truth import decode
from gasp.weights import Store, Weights, open_weights
from gasp.weights.catalogue import Entry
from gasp.weights.preprocessing import GASP_2021, preprocessing_2021

DEFAULT_NETWORK = "SequenceGASPDAMEncALSTMGMUConv"

_NOT_OF_THE_NETWORK = ("weights_file", "model_name", "batch_size", "frames_len", "checkpoint_file")
_BATCH = 8


def load_network(options: Mapping[str, Any], inputs: Sequence[str], root: Path) -> FusionNetwork:
    """The GASP network of a preset's options.

    ``options``: ``weights_file`` (a published key such as "seqdamalstmgmu", or a file), ``model_name`` (class),
    ``inp_img_height`` and ``inp_img_width`` (120), and options of the network. ``inputs``: names of pictures. Raises
    :class:`~gasp.errors.WeightsError` when the weights are not here or do not fit.
    """
    name = str(options.get("model_name", DEFAULT_NETWORK))
    own = {key: value for key, value in options.items() if key not in _NOT_OF_THE_NETWORK}
    network = create_model(name, **own)
    if not isinstance(network, GASP):
        raise UsageError(f"model_name = {name!r}: this is no GASP network")
    if network.modalities != len(inputs):
        raise UsageError(
            f"{name} takes {network.modalities} modalities, but the preset names {len(inputs)} inputs"
        )
    _open(options, root, name, own).fill(network)
    form = preprocessing_2021(
        int(options.get("inp_img_height", GASP_2021.height)),
        int(options.get("inp_img_width", GASP_2021.width)),
    )
    return FusionNetwork(network, tuple(modality_name(one) for one in inputs), form, distribution=False)


def _open(options: Mapping[str, Any], root: Path, network: str, own: Mapping[str, Any]) -> Weights:
    given = str(options.get("checkpoint_file") or options.get("weights_file") or "seqdamalstmgmu")

    def command(entry: Entry) -> str:
        return f"gasp_download_manager --working_dir {root} --models {entry.folder} --accept-license"

    is_below = not Path(given).is_file() and (root / given).is_file()
    return open_weights(
        root / given if is_below else given,
        network=network,
        options=own,
        store=Store.from_environment(root),
        command=command,
    )


def fuse_video(
    video: GroupedVideo, network: FusionNetwork, inputs: Sequence[str], device: torch.device
) -> Iterator[tuple[int, Fused]]:
    """(frame number, prediction) of every frame; windows are filled as in 2021, a missing map is black."""
    fusion = GaspFusion(network, device, windows="newest repeated")
    for first in range(0, video.frames, _BATCH):
        numbers = video.numbers[first : first + _BATCH]
        maps = [[read_colours(video.path(number, name)) for name in inputs] for number in numbers]
        yield from zip(numbers, fusion.step(maps, [False] * len(numbers)), strict=True)


def read_colours(path: Path) -> NDArray[np.uint8]:
    """A picture as RGB uint8 (H, W, 3); small and black when it is missing or damaged."""
    picture = decode(path, cv2.IMREAD_COLOR_RGB)
    return np.zeros((10, 10, 3), np.uint8) if picture is None else picture
