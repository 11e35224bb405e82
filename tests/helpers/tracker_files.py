"""Files as eye trackers export them, made up: everybody looks at :func:`place` of the video on the screen.

The screen has 800 x 600 pixels; the video (96 x 64, 25 pictures per second) fills x 100..580, y 100..420 of it: it is
shown five times as large.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from helpers.gaze_sets import make_video

SCREEN, RECTANGLE, TIMES = (800, 600), (100, 100, 480, 320), 5
FRAMES, FPS = 50, 25.0
FIXATIONS = 8
LASTS = 0.24  # seconds; 10 ms lie between two


def place(k: int, observer: int = 0) -> tuple[float, float]:
    """Where fixation ``k`` is, in pixels of the video."""
    return 10.0 + 9 * k + observer, 20.0 + 4 * k + observer


def on_screen(k: int, observer: int = 0) -> tuple[float, float]:
    """The same in pixels of the screen."""
    x, y = place(k, observer)
    return RECTANGLE[0] + TIMES * x, RECTANGLE[1] + TIMES * y


def begins(k: int) -> float:
    """When it begins, in seconds after the first picture."""
    return 0.25 * k


def add_video(folder: Path, name: str = "talk") -> Path:
    """``folder/videos/<name>.mp4``."""
    make_video(folder / "videos" / f"{name}.mp4", FRAMES, FPS)
    return folder


TOBII_HEADER = (
    "Recording timestamp", "Computer timestamp", "Sensor", "Project name", "Export date", "Participant name",
    "Recording name", "Recording duration", "Recording resolution height", "Recording resolution width", "Event",
    "Event value", "Gaze point X", "Gaze point Y", "Presented Stimulus name", "Presented Media name",
    "Presented Media width", "Presented Media height", "Presented Media position X (DACSpx)",
    "Presented Media position Y (DACSpx)", "Original Media width", "Original Media height", "Eye movement type",
    "Gaze event duration", "Eye movement type index", "Fixation point X", "Fixation point Y",
    "Fixation point X (MCSnorm)", "Fixation point Y (MCSnorm)", "Mouse position X", "Mouse position Y",
)  # fmt: skip


def tobii(
    observers: int = 2, per_ms: int = 1000, stimulus: str = "talk", start_ms: int = 2000, decimal: str = "."
) -> str:
    """The standard export with all participants in one file; samples at 100 Hz, mouse events in between."""
    lines = ["\t".join(TOBII_HEADER)]
    for observer in range(observers):
        common = {
            "Project name": "People", "Participant name": f"P0{observer + 1}",
            "Recording name": f"Recording{observer + 1}",
            "Recording duration": 5000, "Recording resolution height": SCREEN[1],
            "Recording resolution width": SCREEN[0],
        }  # fmt: skip
        media = {
            "Presented Stimulus name": stimulus, "Presented Media name": f"{stimulus}.mp4",
            "Presented Media width": RECTANGLE[2], "Presented Media height": RECTANGLE[3],
            "Presented Media position X (DACSpx)": RECTANGLE[0], "Presented Media position Y (DACSpx)": RECTANGLE[1],
            "Original Media width": 96, "Original Media height": 64,
        }  # fmt: skip

        def add(ms: float, **fields: object) -> None:
            row = common | {"Recording timestamp": round(ms * per_ms)} | fields  # noqa: B023
            lines.append("\t".join(str(row.get(name, "")) for name in TOBII_HEADER))

        add(0, Event="RecordingStart")
        add(500, Sensor="Eye Tracker", **{"Eye movement type": "Fixation", "Gaze event duration": 300,
            "Eye movement type index": 1, "Fixation point X": 400, "Fixation point Y": 300})  # fmt: skip
        add(start_ms, Event="VideoStimulusStart", **{"Event value": stimulus}, **media)
        for k in range(FIXATIONS):
            x, y = on_screen(k, observer)
            for sample in range(24):
                ms = start_ms + 1000 * begins(k) + 10 * sample
                add(ms, Sensor="Eye Tracker", **media, **{
                    "Gaze point X": int(x), "Gaze point Y": int(y), "Eye movement type": "Fixation",
                    "Gaze event duration": round(1000 * LASTS), "Eye movement type index": k + 2,
                    "Fixation point X": str(x).replace(".", decimal), "Fixation point Y": str(y).replace(".", decimal),
                })  # fmt: skip
                if sample == 5:
                    add(ms + 1, Sensor="Mouse", **{"Mouse position X": 5, "Mouse position Y": 5})
            add(start_ms + 1000 * begins(k) + 240, Sensor="Eye Tracker", **media, **{
                "Eye movement type": "Saccade", "Gaze event duration": 10,
                "Eye movement type index": k + 1})  # fmt: skip
        add(start_ms + 2000, Event="VideoStimulusEnd", **{"Event value": stimulus}, **media)
        add(start_ms + 2100, Event="RecordingEnd")
    return "\r\n".join(lines) + "\r\n"


def eyelink(
    *,
    events: bool = True,
    frames: bool = True,
    eyes: str = "LEFT",
    name: str = "talk.mp4",
    start: int = 70000,
) -> str:
    """An .asc file of one trial: events or samples alone, with or without a message for every picture."""
    lines = [
        "** CONVERTED FROM talk.edf using edfapi 4.2.1 Linux",
        "** DATE: Mon May  4 10:00:00 2026", "** TYPE: EDF_FILE BINARY EVENT SAMPLE TAGGED", "**", "",
        f"MSG\t{start - 900} DISPLAY_COORDS 0 0 {SCREEN[0] - 1} {SCREEN[1] - 1}",
        f"MSG\t{start - 500} TRIALID 1",
        f"START\t{start - 300} \t{eyes}\tSAMPLES\tEVENTS",
        "PRESCALER\t1", "VPRESCALER\t1", "PUPIL\tAREA",
        f"EVENTS\tGAZE\t{eyes}\tRATE\t 500.00\tTRACKING\tCR\tFILTER\t2",
        f"SAMPLES\tGAZE\t{eyes}\tRATE\t 500.00\tTRACKING\tCR\tFILTER\t2\tINPUT",
    ]  # fmt: skip
    if not frames:
        lines.append(f"MSG\t{start + 3} 3 SYNCTIME")
        lines.append(f"MSG\t{start + 4} !V TRIAL_VAR video_file {name}")
    else:
        for picture in range(FRAMES):
            shown = start + round(1000 * picture / FPS)
            corner = f"{RECTANGLE[0]} {RECTANGLE[1]}"
            lines.append(f"MSG\t{shown + 2} 2 !V VFRAME {picture + 1} {corner} ../videos/{name}")
    for k in range(FIXATIONS):
        begin, end = start + round(1000 * begins(k)), start + round(1000 * (begins(k) + LASTS))
        sides = {"LEFT": "L", "RIGHT": "R", "LEFT\tRIGHT": "LR"}[eyes]
        for side in sides:
            lines.append(f"SFIX {side}   {begin}")
        for time in range(begin, end, 2):
            shown = "".join(
                f"\t{on_screen(k, eye)[0]:7.1f}\t{on_screen(k, eye)[1]:7.1f}\t 1183.0"
                for eye in range(len(sides))
            )
            lines.append(f"{time}{shown}\t...")
        for eye, side in enumerate(sides):
            x, y = on_screen(k, eye)
            lines.append(f"EFIX {side}   {begin}\t{end}\t{end - begin}\t  {x:.1f}\t  {y:.1f}\t   1183")
        for time in range(end, end + 10, 2):
            lines.append(f"{time}" + "\t   .\t   .\t    0.0" * len(sides) + "\t.C.")
    lines.append(f"END\t{start + 2100} \tSAMPLES\tEVENTS\tRES\t  38.54\t  31.12")
    if not events:
        lines = [line for line in lines if not line.startswith(("EFIX", "SFIX"))]
    return "\n".join(lines) + "\n"


def pupil(folder: Path, *, rate: float = FPS, missing: int = 0) -> Path:
    """A recording of Pupil Cloud, in pixels of the scene video; ``missing`` pictures are lost in its middle."""
    folder.mkdir(parents=True, exist_ok=True)
    make_video(folder / "56fcec49_0.0-2.0.mp4", FRAMES, FPS)
    zero = 1_747_000_000_123_456_789
    section, recording = "56fcec49-0001", "ab12-0002"
    shown = [round(zero + 1e9 * (k + (missing if k >= FRAMES // 2 else 0)) / rate) for k in range(FRAMES)]
    lines = ["section id,recording id,timestamp [ns]", *(f"{section},{recording},{time}" for time in shown)]
    (folder / "world_timestamps.csv").write_text("\n".join(lines) + "\n")
    head = (
        "section id,recording id,fixation id,start timestamp [ns],end timestamp [ns],duration [ms],fixation x [px],"
        "fixation y [px],azimuth [deg],elevation [deg]"
    )
    lines = [head]
    for k in range(FIXATIONS):
        begin = round(zero + 1e9 * begins(k))
        end = round(begin + 1e9 * LASTS)
        x, y = place(k)
        lines.append(
            f"{section},{recording},{k + 1},{begin},{end},{round(1e3 * LASTS)},{x:.3f},{y:.3f},1.0,-2.0"
        )
    (folder / "fixations.csv").write_text("\n".join(lines) + "\n")
    (folder / "info.json").write_text(json.dumps({"wearer_name": "Ada", "duration": 2_000_000_000}))
    return folder


BIDS_COLUMNS = ["timestamp", "x_coordinate", "y_coordinate", "pupil_size"]


def bids(
    folder: Path, *, events: bool = True, stim_file: bool = True, task: str = "watch", subject: str = "01"
) -> Path:
    """A BIDS 1.11 data set: both eyes of one subject at 500 Hz; the video begins after half a second."""
    beh = folder / f"sub-{subject}" / "beh"
    beh.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_description.json").write_text(json.dumps({"Name": "People", "BIDSVersion": "1.11.0"}))
    common = {
        "Manufacturer": "SR-Research", "PhysioType": "eyetrack", "Columns": BIDS_COLUMNS, "SamplingFrequency": 500,
        "SampleCoordinateSystem": "gaze-on-screen", "EyeTrackingMethod": "P-CR",
        "timestamp": {"Units": "ms", "Origin": "SystemStartup"},
        "x_coordinate": {"Units": "pixel"}, "y_coordinate": {"Units": "pixel"}, "pupil_size": {"Units": "a.u."},
    }  # fmt: skip
    (folder / f"task-{task}_physio.json").write_text(json.dumps(common))
    names = {"Columns": ["onset", "duration", "trial_type", "blink", "message"], "OnsetSource": "timestamp"}
    (folder / f"task-{task}_physioevents.json").write_text(json.dumps(names))
    screen = {
        "TaskName": task,
        "StimulusPresentation": {"ScreenResolution": list(SCREEN), "ScreenDistance": 60},
    }
    (folder / f"task-{task}_events.json").write_text(json.dumps(screen))
    stem = f"sub-{subject}_task-{task}"
    delay = 500 if stim_file else 0
    for number, eye in enumerate(("left", "right")):
        recording = beh / f"{stem}_recording-eye{number + 1}"
        Path(f"{recording}_physio.json").write_text(json.dumps({"RecordedEye": eye, "StartTime": 0}))
        samples, found = [], []
        for ms in range(0, 2000 + delay, 2):
            k = min(max(0, ms - delay) // 250, FIXATIONS - 1)
            known = ms >= delay and (ms - delay) % 250 < 240
            x, y = on_screen(k, number)
            samples.append(
                f"{81000 + ms}\t{x:.1f}\t{y:.1f}\t900" if known else f"{81000 + ms}\tn/a\tn/a\tn/a"
            )
        for k in range(FIXATIONS):
            begin = 81000 + delay + 250 * k
            found += [f"{begin}\t238\tfixation\t0\tn/a", f"{begin + 240}\t10\tsaccade\t1\tn/a"]
        _pack(Path(f"{recording}_physio.tsv.gz"), samples)
        if events:
            _pack(Path(f"{recording}_physioevents.tsv.gz"), found)
    if stim_file:
        rows = [
            "onset\tduration\ttrial_type\tstim_file",
            "0.0\t0.5\tcross\tn/a",
            "0.5\t2.0\tvideo\tvideos/talk.mp4",
        ]
        (beh / f"{stem}_events.tsv").write_text("\n".join(rows) + "\n")
    return folder


def _pack(path: Path, lines: list[str]) -> None:
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))


def expected(observer: int = 0) -> np.ndarray:
    """Onset, x, y of every fixation on the video's clock and in its pixels."""
    return np.array([[begins(k), *place(k, observer)] for k in range(FIXATIONS)])
