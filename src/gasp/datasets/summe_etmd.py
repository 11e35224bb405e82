"""SumMe and ETMD with the gaze of Tsiami et al. 2020: one MATLAB file, x and y as fractions of the picture.

``SumMe_ETMD/video/<id>.mp4`` and ``SumMe_ETMD/eyetracking/all_videos.mat`` with the struct ``eye_data_all``, whose
field ``<id>`` is (2 or more, pictures, observers).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gasp.datasets.fixations import Fixations
from gasp.datasets.matlab import read_mat, samples
from gasp.datasets.video_set import Video, VideoSet, per_picture, probe_video
from gasp.errors import InputError

SIGMA = 20.0


class SumMeEtmdSet(VideoSet):
    """The videos of SumMe and ETMD in ``folder``, the one that holds ``SumMe_ETMD`` or that folder itself.

    NaN and negative coordinates are missing gaze.
    """

    name = "summeetmd"

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        inner = self.folder / "SumMe_ETMD"
        self.folder = inner if inner.is_dir() else self.folder
        self._file = self.folder / "eyetracking" / "all_videos.mat"
        data = read_mat(self._file, "eye_data_all")
        if not isinstance(data, dict) or not data:
            raise InputError(f"{self._file}: eye_data_all is no struct of videos")
        self._data: dict[str, Any] = data
        videos = self.folder / "video"
        for path in sorted(videos.glob("*.mp4")) if videos.is_dir() else ():
            if path.stem not in data:
                self._problem(
                    "videos without gaze", f"{path.name} has no entry in {self._file.name}; it is skipped"
                )
        self._files = self._with_files((name, videos / f"{name}.mp4") for name in data)

    @property
    def ids(self) -> list[str]:
        """Names of the videos, in the file's order."""
        return list(self._files)

    def sigma(self, video: str) -> float:
        """20 pixels."""
        return SIGMA

    def _open(self, video: str) -> Video:
        return probe_video(video, self._files[video])

    def _read_fixations(self, video: Video) -> Fixations:
        gaze = samples(self._data[video.name], f"{self._file}: eye_data_all.{video.name}", most=10)[:2]
        gaze = np.where(gaze < 0, np.nan, gaze)
        self._check_length(video, gaze.shape[1] / video.fps)
        columns = per_picture(gaze, video, video.fps)
        columns["x"] = columns["x"] * video.width
        columns["y"] = columns["y"] * video.height
        return self._inside(video, **columns)
