"""The working directory of 2021: what its commands expect to find below it."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.config.json2021 import write_presets
from gasp.datasets.split import PUBLISHED, split_names
from gasp.errors import OutputError
from gasp.work.files import replacing

PROCESSED = "datasets/processed"
CONFIGS = "gazenet/configs"

_FOLDERS = ("temp", "logs", "logs/metrics", PROCESSED)


def prepare(root: Path) -> list[Path]:
    """Makes folders, the published splits, a centre-bias picture and the presets as JSON; the files that are new.

    What is there is left alone.
    """
    written = []
    try:
        for name in _FOLDERS:
            (root / name).mkdir(parents=True, exist_ok=True)
        for name in split_names():
            target = root / PROCESSED / f"{name}.csv"
            if not target.exists():
                with replacing(target) as temporary:
                    shutil.copyfile(PUBLISHED / f"{name}.csv", temporary)
                written.append(target)
        written += _write_centre_bias(root / PROCESSED)
        if not (root / CONFIGS).exists():
            written += write_presets(root / CONFIGS)
    except OSError as error:
        raise OutputError(f"{root} cannot be written: {error.strerror or error}.") from None
    return written


def clean_temp(root: Path) -> int:
    """Empties ``temp``, which need not exist; how many files and folders were removed."""
    temp = root / "temp"
    entries = list(temp.iterdir()) if temp.is_dir() else []
    for path in entries:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    temp.mkdir(parents=True, exist_ok=True)
    return len(entries)


def centre_bias(height: int = 244, width: int = 298) -> NDArray[np.uint8]:
    """A stand-in for the published centre-bias picture, which is not passed on: a Gaussian, grey.

    Above 0 in the middle 22 % of the picture, as the published one is.
    """
    y = ((np.arange(height) + 0.5) / height - 0.5)[:, None]
    x = (np.arange(width) + 0.5) / width - 0.5
    square = x**2 + y**2
    radius = 0.22 / np.pi
    level = np.exp(-square / (2 * 0.15**2))
    return np.where(square < radius, np.rint(255 * level), 0).astype(np.uint8)


def _write_centre_bias(folder: Path) -> list[Path]:
    grey = centre_bias()
    colours = np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_JET), np.uint8)
    written = []
    for name, picture in (("center_bias_bw.jpg", grey), ("center_bias.jpg", colours)):
        target = folder / name
        if not target.exists():
            _, data = cv2.imencode(".jpg", picture)
            with replacing(target) as temporary:
                temporary.write_bytes(data.tobytes())
            written.append(target)
    return written
