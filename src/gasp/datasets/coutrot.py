"""Coutrot databases 1 and 2 (Coutrot & Guyader 2013, 2014): gaze per picture in one MATLAB file.

``coutrot_database1.mat`` holds the struct ``Coutrot_Database1``, condition ``OriginalSounds``, videos in
``ERB3_Stimuli``; ``coutrot_database2.mat`` holds ``Coutrot_Database2``, condition ``AudioVisual``, videos in
``ERB4_Stimuli``. ``<struct>.<condition>.clip_<n>`` has ``data``, (2 or 3, pictures, observers): x, y in pixels, NaN
where nobody fixates; and ``info`` with fps, vidwidth, vidheight, nframe.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gasp.datasets.fixations import Fixations
from gasp.datasets.matlab import entry, read_mat, samples, scalar
from gasp.datasets.video_set import Video, VideoSet, per_picture, probe_video
from gasp.errors import InputError

SIGMA = 20.0
SHIFT = -20.0

_CONDITIONS = {1: "OriginalSounds", 2: "AudioVisual"}


class CoutrotSet(VideoSet):
    """Coutrot database ``number`` (1 or 2) in ``folder``.

    ``shift``: pixels added to y, as published. Clips without an entry are skipped and named.
    """

    def __init__(self, folder: str | Path, number: int, *, shift: float = SHIFT) -> None:
        super().__init__(folder)
        if number not in _CONDITIONS:
            raise InputError(f"there are Coutrot databases 1 and 2, not {number}")
        self.name = f"coutrot{number}"
        self._shift = shift
        self._file = self.folder / f"coutrot_database{number}.mat"
        self._path = f"Coutrot_Database{number}.{_CONDITIONS[number]}"
        database = read_mat(self._file, f"Coutrot_Database{number}")
        self._clips: dict[str, Any] = entry(
            database, _CONDITIONS[number], f"{self._file}: Coutrot_Database{number}"
        )
        if not isinstance(self._clips, dict):
            raise InputError(f"{self._file}: {self._path} is no struct of clips")
        stimuli = self.folder / f"ERB{number + 2}_Stimuli"
        files = {path.stem for path in stimuli.glob("clip_*.avi")} if stimuli.is_dir() else set()
        for name in sorted(files - set(self._clips), key=_clip_number):
            self._problem(
                "clips without gaze", f"{name}.avi has no entry in {self._file.name}; it is skipped"
            )
        names = sorted((name for name in self._clips if name.startswith("clip_")), key=_clip_number)
        self._files = self._with_files((name, stimuli / f"{name}.avi") for name in names)

    @property
    def ids(self) -> list[str]:
        """``clip_1``, ``clip_2``, ..."""
        return list(self._files)

    def sigma(self, video: str) -> float:
        """20 pixels."""
        return SIGMA

    def _open(self, video: str) -> Video:
        return probe_video(video, self._files[video])

    def _read_fixations(self, video: Video) -> Fixations:
        where = f"{self._file}: {self._path}.{video.name}"
        clip = self._clips[video.name]
        info = entry(clip, "info", where)
        fps = scalar(info, "fps", f"{where}.info")
        self._check_rate(video, fps, where)
        size = (scalar(info, "vidwidth", f"{where}.info"), scalar(info, "vidheight", f"{where}.info"))
        gaze = samples(entry(clip, "data", where), f"{where}.data", most=3)
        self._check_length(video, gaze.shape[1] / fps)
        columns = per_picture(gaze, video, fps)
        # Gaze refers to the picture as it was shown; a file of another size is the same picture scaled.
        if not (size[0] > 0 and size[1] > 0):
            raise InputError(f"{where}.info: the size {size} cannot be right")
        if size != (video.width, video.height):
            self._problem(
                "other picture sizes",
                f"{video.name} is {video.width} x {video.height} pixels, its gaze refers to "
                f"{size[0]:.0f} x {size[1]:.0f}; it is scaled",
            )
        columns["x"] = columns["x"] * (video.width / size[0])
        columns["y"] = (columns["y"] + self._shift) * (video.height / size[1])
        return self._inside(video, **columns)


def _clip_number(name: str) -> tuple[int, str]:
    found = re.search(r"\d+", name)
    return (int(found.group()) if found else 0, name)
