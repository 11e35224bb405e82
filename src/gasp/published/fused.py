"""GASP over the maps in the 2021 folders, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gasp import create_model, load_checkpoint
from gasp.datasets.grouped import GroupedVideo, modality_name
from gasp.errors import UsageError, WeightsError
from gasp.fusion.gasp import Fused, FusionNetwork, GaspFusion
from gasp.fusion.inputs import Preprocessing
from gasp.networks.gasp import GASP
from gasp.published.truth import decode
from gasp.weights import Store, ensure, find_downloaded, find_entry

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
    try:
        network = create_model(name, **{k: v for k, v in options.items() if k not in _NOT_OF_THE_NETWORK})
    except (TypeError, ValueError) as error:
        raise UsageError(f"the options of {name} cannot be right: {error}") from None
    if not isinstance(network, GASP):
        raise UsageError(f"model_name = {name!r}: this is no GASP network")
    if network.modalities != len(inputs):
        raise UsageError(
            f"{name} takes {network.modalities} modalities, but the preset names {len(inputs)} inputs"
        )
    load_checkpoint(network, _weights(options, root))
    usual = Preprocessing()
    form = Preprocessing(
        int(options.get("inp_img_height", usual.height)), int(options.get("inp_img_width", usual.width))
    )
    return FusionNetwork(network, tuple(modality_name(one) for one in inputs), form, distribution=False)


def _weights(options: Mapping[str, Any], root: Path) -> Path:
    given = str(options.get("checkpoint_file") or options.get("weights_file") or "seqdamalstmgmu")
    if Path(given).is_file() or (root / given).is_file():
        return Path(given) if Path(given).is_file() else root / given
    if Path(given).suffix:
        raise WeightsError(f"{given} does not exist; it was to be the checkpoint of the network")
    entry, store = find_entry(given), Store.from_environment(root)
    if find_downloaded(entry, store) is None:
        raise WeightsError(
            f"the weights {given} are not here; run `gasp_download_manager --working_dir {root} "
            f"--models {entry.folder} --accept-license`"
        )
    return ensure(entry.name, accept_license=True, store=store)


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
