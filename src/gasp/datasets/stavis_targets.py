"""The maps prepared by STAViS as targets of the 2021 folders: the script ``postprocess_get_from_stavis``."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gasp.datasets.grouped import DENSITY, FIXATIONS, GroupedFrames, GroupedVideo
from gasp.datasets.stavis_maps import StavisMaps
from gasp.errors import InputError, OutputError
from gasp.work.files import replacing

logger = logging.getLogger(__name__)

#: Width and height of fixation maps.
SIZE = (120, 120)


@dataclass
class TargetSummary:
    """How many frames got their targets, and videos or frames that did not, by what was missing."""

    frames: int = 0
    missing: dict[str, int] = field(default_factory=dict)


def take_stavis_targets(grouped: str | Path, prepared: str | Path) -> TargetSummary:
    """Replaces the targets of every frame folder below ``grouped`` by the maps below ``prepared``.

    The density is copied byte by byte; the fixation map is resized to 120 x 120 with Pillow's bilinear filter, and
    what is above 0 becomes white. The fixation map is a JPEG as in 2021: take values above 127 as fixated.
    """
    maps, summary = StavisMaps(prepared), TargetSummary()
    for video in GroupedFrames(grouped).videos.values():
        name = f"{video.dataset}/{video.name}"
        if name not in maps.ids:
            logger.warning("%s: STAViS has prepared no maps for it", name)
            summary.missing["videos"] = summary.missing.get("videos", 0) + 1
            continue
        before = summary.missing.get("frames", 0)
        for number in video.numbers:
            if _take(video, number, maps, name):
                summary.frames += 1
            else:
                summary.missing["frames"] = summary.missing.get("frames", 0) + 1
        lacking = summary.missing.get("frames", 0) - before
        if lacking:
            logger.warning("%s: %d of %d frames have no prepared maps", name, lacking, video.frames)
    return summary


def _take(video: GroupedVideo, number: int, maps: StavisMaps, name: str) -> bool:
    density = maps.density_file(name, number)
    try:
        points = maps.fixation_array(name, number)
        data = density.read_bytes()
    except (InputError, OSError) as error:
        logger.info("%s, frame %d: %s", name, number, error)
        return False
    try:
        with replacing(video.path(number, DENSITY)) as temporary:
            temporary.write_bytes(data)
        with replacing(video.path(number, FIXATIONS)) as temporary:
            temporary.write_bytes(fixation_picture(points))
    except OSError as error:
        raise OutputError(f"{video.folder}: cannot be written: {error.strerror or error}.") from None
    return True


def fixation_picture(points: NDArray[np.float64]) -> bytes:
    """A fixation map as a grey JPEG of 120 x 120, 0 or 255."""
    resized = Image.fromarray(points.astype(np.float32)).resize(SIZE, Image.Resampling.BILINEAR)
    picture = Image.fromarray(np.where(np.asarray(resized) > 0, 255, 0).astype(np.uint8))
    data = io.BytesIO()
    picture.save(data, "JPEG")
    return data.getvalue()
