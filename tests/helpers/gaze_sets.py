"""Small raw datasets in each published format, with gaze that is known: everybody looks at :func:`gaze`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from helpers.observations import texture
from helpers.videos import write_video

WIDTH, HEIGHT, FRAMES, OBSERVERS = 96, 64, 12, 3


def gaze(frame: int, observer: int) -> tuple[int, int]:
    """Where an observer looks while picture ``frame`` (from 0) is shown, in whole pixels."""
    return 20 + 4 * frame + 2 * observer, 30 + observer


def make_video(path: Path, frames: int = FRAMES, fps: float = 25.0, **options: Any) -> Path:
    """Pictures that differ, 96 x 64."""
    wide = texture(HEIGHT, WIDTH + 2 * frames, smooth=3)
    pictures = np.stack([wide[:, 2 * k : 2 * k + WIDTH] for k in range(frames)])
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, pictures, fps=fps, **options)


def samples(dx: float = 0.0, dy: float = 0.0, scale: tuple[float, float] = (1, 1)) -> NDArray[np.float64]:
    """Gaze per picture, (3, pictures, observers); the last observer is lost in picture 1."""
    array = np.zeros((3, FRAMES, OBSERVERS))
    for frame in range(FRAMES):
        for observer in range(OBSERVERS):
            x, y = gaze(frame, observer)
            array[:2, frame, observer] = (x + dx) * scale[0], (y + dy) * scale[1]
    array[:2, 1, OBSERVERS - 1] = np.nan
    return array


def make_coutrot(folder: Path, number: int = 1, fps: float = 25.0, **options: Any) -> Path:
    """Coutrot database ``number`` with clip_2, and clip_10 whose video is missing."""
    condition = {1: "OriginalSounds", 2: "AudioVisual"}[number]
    info = {"fps": fps, "vidwidth": WIDTH, "vidheight": HEIGHT, "nframe": FRAMES}
    clip = {"data": samples(dy=20), "info": info}
    make_video(folder / f"ERB{number + 2}_Stimuli" / "clip_2.avi", codec="mpeg4", **options)
    database = {f"Coutrot_Database{number}": {condition: {"clip_2": clip, "clip_10": clip}}}
    savemat(folder / f"coutrot_database{number}.mat", database)
    return folder


def diem_text(observer: int) -> str:
    """The file of one observer: fixations, with a saccade in frame 3 and a blink in frame 4."""
    lines = []
    for frame in range(FRAMES):
        x, y = gaze(frame, observer)
        event = {2: 2, 3: 0}.get(frame, 1)
        left = (x, y + 100, 100 + observer, event)
        lines.append("\t".join(map(str, (frame + 1, *left, -1, -1, 0, -1))))
    return "\n".join(lines) + "\n"


def make_diem(folder: Path, name: str = "talk_96x64") -> Path:
    """A DIEM folder with one video."""
    make_video(folder / name / "video" / f"{name}.mp4", fps=30.0)
    events = folder / name / "event_data"
    events.mkdir()
    for observer in range(OBSERVERS):
        (events / f"diem1s0{observer}_{name}.txt").write_text(diem_text(observer))
    return folder


def make_findwho(folder: Path) -> Path:
    """The published FindWho layout with one video; a fixation per picture. Pixels are counted from 1."""
    rows = [
        (observer + 1, 1, 40 * frame, 40, *(pixel + 1 for pixel in gaze(frame, observer)))
        for frame in range(FRAMES)
        for observer in range(OBSERVERS)
    ]
    fields = [
        "Subject Index",
        "Video Index",
        "Timestamp",
        "Gaze Duration",
        "Fixation Point X",
        "Fixation Point Y",
    ]
    info = {
        "framerate_fps": np.array([25.0]),
        "size": np.array([[WIDTH, HEIGHT]]),
        "frames": np.array([FRAMES]),
    }
    database = {
        "fixdata_fields": np.array(fields, object),
        "fixdata": np.array(rows, float),
        "videos_info": info,
    }
    make_video(folder / "raw_videos" / "1.mp4")
    savemat(folder / "video_database.mat", {"video_database": database})
    return folder


def make_findwho_tables(folder: Path) -> Path:
    """The recordings of :func:`make_findwho` as tables."""
    make_video(folder / "videos" / "001.mp4")
    (folder / "videos.csv").write_text(
        f"video,width,height,fps,frames,has_audio,first_frame_s\n001,{WIDTH},{HEIGHT},25,{FRAMES},0,0\n"
    )
    lines = ["video,observer,onset_ms,duration_ms,x,y"]
    for frame in range(FRAMES):
        for observer in range(OBSERVERS):
            x, y = gaze(frame, observer)
            lines.append(f"001,{observer + 1},{40 * frame},40,{x + 1},{y + 1}")
    (folder / "fixations.csv").write_text("\n".join(lines) + "\n")
    return folder


def make_summe_etmd(folder: Path) -> Path:
    """The published layout of SumMe and ETMD with one video."""
    inner = folder / "SumMe_ETMD"
    make_video(inner / "video" / "Jumps.mp4")
    (inner / "eyetracking").mkdir()
    data = samples(0.5, 0.5, (1 / WIDTH, 1 / HEIGHT))
    savemat(inner / "eyetracking" / "all_videos.mat", {"eye_data_all": {"Jumps": data}})
    return folder


def make_table(folder: Path, videos: tuple[str, ...] = ("talk",), frames: int = FRAMES) -> Path:
    """The general format: videos with fixations.csv."""
    lines = ["video,observer,onset_ms,duration_ms,x,y"]
    for video in videos:
        make_video(folder / "videos" / f"{video}.mp4", frames)
        for frame in range(frames):
            for observer in range(OBSERVERS):
                x, y = gaze(frame % FRAMES, observer)
                lines.append(f"{video},{observer},{40 * frame},40,{x + 0.5},{y + 0.5}")
    (folder / "fixations.csv").write_text("\n".join(lines) + "\n")
    return folder


def make_stavis(folder: Path, dataset: str = "diem", video: str = "talk_96x64", frames: int = 3) -> Path:
    """Maps as STAViS prepared them: a bright square and the fixations around it."""
    import cv2

    (folder / dataset / video / "maps").mkdir(parents=True)
    for frame in range(frames):
        density = np.zeros((HEIGHT, WIDTH), np.uint8)
        density[20:40, 10 + frame : 30 + frame] = 255
        cv2.imwrite(str(folder / dataset / video / "maps" / f"eyeMap_{frame + 1:05d}.jpg"), density)
        points = np.zeros((HEIGHT, WIDTH))
        points[30, 20 + frame] = 1
        savemat(folder / dataset / video / f"fixMap_{frame + 1:05d}.mat", {"eyeMap": points})
    return folder
