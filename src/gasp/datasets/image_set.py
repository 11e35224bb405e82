"""Still images with fixations, as a folder of plain files.

Layout: ``images/<id>.jpg``; ``images.csv`` (id, width, height); ``fixations.npz`` with one entry per
fixation: ``image`` (row of ``images.csv``, from 0), ``observer``, ``order`` (0 = first), ``x``, ``y`` (0..1
of width and height), ``duration_ms``; optionally ``faces.csv`` (id, left, top, width, height as fractions,
then the flags frontal, profile, back, occluded).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.datasets.columns import check_name, checked_size, field, read_csv, read_npz
from gasp.datasets.fixations import DensityMap, FixationMap, Fixations, density_map, fixation_map
from gasp.errors import InputError
from gasp.faces.face import Box

logger = logging.getLogger(__name__)

_FLAGS = ("frontal", "profile", "back", "occluded")


@dataclass(frozen=True, slots=True)
class LabelledFace:
    """A face marked by hand: its box in pixels and how it is seen. ``back`` is the back of a head."""

    box: Box
    frontal: bool
    profile: bool
    back: bool
    occluded: bool


@dataclass(frozen=True, slots=True)
class _Picture:
    name: str
    width: int
    height: int


class ImageSet:
    """Images with fixations, read from ``folder`` in the layout of this module.

    ``len(images)`` counts the usable images; ``i`` below goes from 0 to that. ``ids`` are their names in the
    order of ``images.csv``. ``blur`` is the standard deviation of density maps as a fraction of the image's
    width: 0.03 is 24 pixels at 800 wide, the authors' choice for OSIE; EyeCrowd's is 0.0254 (26 at 1024).

    ``skipped`` counts what could not be used: ``missing images``, ``fixations outside``, ``fixations lost``
    (NaN), ``fixations without image``, ``faces without image``. Raises :class:`~gasp.errors.InputError` when
    a table is missing or damaged, or when no image is left.
    """

    def __init__(self, folder: str | Path, *, blur: float = 0.03) -> None:
        self.folder = Path(folder)
        self.blur = blur
        self.skipped: dict[str, int] = {}
        if not self.folder.is_dir():
            raise InputError(
                f"{self.folder} is not a folder; a set of images with fixations was expected there"
            )
        rows = self._read_pictures()
        self._pictures = [picture for picture in rows if self._path(picture).is_file()]
        self._count("missing images", len(rows) - len(self._pictures))
        if not self._pictures:
            raise InputError(f"{self.folder}/images holds none of the {len(rows)} images named in images.csv")
        self._fixations = self._read_fixations(rows)
        self._faces = self._read_faces(rows)
        if self.skipped:
            counts = ", ".join(f"{count} {what}" for what, count in self.skipped.items())
            logger.warning("%s: skipped %s", self.folder, counts)

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def ids(self) -> list[str]:
        """Names of the images, in order."""
        return [picture.name for picture in self._pictures]

    def size(self, i: int) -> tuple[int, int]:
        """(height, width) of image ``i`` in pixels."""
        return self._pictures[i].height, self._pictures[i].width

    def image(self, i: int) -> NDArray[np.uint8]:
        """Image ``i``: RGB, uint8, (H, W, 3). Raises :class:`~gasp.errors.InputError` if undecodable."""
        path = self._path(self._pictures[i])
        try:
            data = np.fromfile(path, np.uint8)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        # The recorded points refer to the stored pixels, so a rotation in the file's metadata is not applied.
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(data, flags) if data.size else None
        if image is None:
            raise InputError(f"{path} is not a picture that can be decoded")
        if image.shape[:2] != self.size(i):
            stored = f"{image.shape[1]} x {image.shape[0]}"
            expected = f"{self._pictures[i].width} x {self._pictures[i].height}"
            raise InputError(f"{path} is {stored} pixels, but images.csv says {expected}")
        return np.asarray(image, np.uint8)

    def fixations(self, i: int) -> Fixations:
        """Fixations on image ``i`` in its pixels, all inside it; ``order`` is set and ``onset`` unknown."""
        return self._fixations[self._pictures[i].name]

    def fixation_map(self, i: int) -> FixationMap:
        """Fixations on image ``i`` counted per pixel."""
        return fixation_map(self.fixations(i), *self.size(i))

    def density(self, i: int) -> DensityMap:
        """Fixation density of image ``i``, blurred with ``self.blur``. Needs at least one fixation."""
        return density_map(self.fixation_map(i), self.blur * self._pictures[i].width)

    def faces(self, i: int) -> list[LabelledFace]:
        """Faces marked by hand in image ``i``; empty when the set has no ``faces.csv``."""
        return self._faces.get(self._pictures[i].name, [])

    def _path(self, picture: _Picture) -> Path:
        return self.folder / "images" / f"{picture.name}.jpg"

    def _count(self, what: str, count: int) -> None:
        if count:
            self.skipped[what] = self.skipped.get(what, 0) + count

    def _read_pictures(self) -> list[_Picture]:
        path = self.folder / "images.csv"
        pictures = [
            _Picture(
                check_name(row["id"], path), field(row, "width", int, path), field(row, "height", int, path)
            )
            for row in read_csv(path, ("id", "width", "height"))
        ]
        seen: set[str] = set()
        for picture in pictures:
            if picture.name in seen:
                raise InputError(f"{path}: the id {picture.name!r} occurs twice")
            checked_size(picture.width, picture.height, f"{path}: the image {picture.name!r}")
            seen.add(picture.name)
        if not pictures:
            raise InputError(f"{path} names no image")
        return pictures

    def _read_fixations(self, rows: list[_Picture]) -> dict[str, Fixations]:
        path = self.folder / "fixations.npz"
        table = read_npz(path, ("image", "observer", "order", "x", "y", "duration_ms"))
        for name in ("image", "observer", "order"):
            if not np.isfinite(table[name]).all():
                raise InputError(f"{path}: {name!r} holds values that are not numbers")
        image, x, y = table["image"].astype(np.int64), table["x"], table["y"]
        known = (image >= 0) & (image < len(rows))
        lost = known & ~(np.isfinite(x) & np.isfinite(y))
        outside = known & ~lost & ~((x >= 0) & (x < 1) & (y >= 0) & (y < 1))
        self._count("fixations without image", int((~known).sum()))
        self._count("fixations lost", int(lost.sum()))
        self._count("fixations outside", int(outside.sum()))
        usable = (known & ~lost & ~outside).nonzero()[0]
        usable = usable[np.argsort(image[usable], kind="stable")]
        bounds = np.searchsorted(image[usable], np.arange(len(rows) + 1))
        fixations = {}
        for row, picture in enumerate(rows):
            mine = usable[bounds[row] : bounds[row + 1]]
            fixations[picture.name] = Fixations.create(
                x[mine] * picture.width,
                y[mine] * picture.height,
                table["observer"][mine],
                duration=table["duration_ms"][mine] / 1000,
                order=table["order"][mine],
            )
        return fixations

    def _read_faces(self, rows: list[_Picture]) -> dict[str, list[LabelledFace]]:
        path = self.folder / "faces.csv"
        if not path.is_file():
            return {}
        sizes = {picture.name: picture for picture in rows}
        faces = defaultdict(list)
        for row in read_csv(path, ("id", "left", "top", "width", "height", *_FLAGS)):
            picture = sizes.get(row["id"])
            if picture is None:
                self._count("faces without image", 1)
                continue
            left, top, width, height = (
                field(row, name, float, path) for name in ("left", "top", "width", "height")
            )
            if not (np.isfinite((left, top)).all() and 0 < width < np.inf and 0 < height < np.inf):
                self._count("faces without extent", 1)
                continue
            box = Box(
                left * picture.width,
                top * picture.height,
                (left + width) * picture.width,
                (top + height) * picture.height,
            )
            flags = {flag: field(row, flag, int, path) != 0 for flag in _FLAGS}
            faces[picture.name].append(LabelledFace(box, **flags))
        return dict(faces)
