"""A run: what it leaves, how it goes on, and that it replaces nothing of others."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from filelock import FileLock

from gasp.config.settings import PredictSettings
from gasp.errors import GaspError, InputError, OutputError, UsageError
from gasp.pipeline.prediction import Prediction
from gasp.results.folder import ResultFolder
from gasp.results.output_settings import OutputSettings
from gasp.results.sink import Pieces, Sink
from gasp.runs.run import CancelledError, RunSummary, run
from gasp.video import VideoSource, open_source
from gasp.video.frames import Frame
from gasp.work.folder import WorkFolder
from gasp.work.interrupts import uninterrupted
from gasp.work.progress import Progress, Report, silent
from helpers.predictions import FRAMES, HEIGHT, WIDTH, predict_frame
from helpers.talk_clip import StandInPredictor
from helpers.videos import moving_square, write_video

ALL = OutputSettings(overlay=True, grid=True, maps="png", map_size=(36, 24))
TABLES = OutputSettings(overlay=False, report=False)
NAMES = ["frames.csv", "grid.mp4", "maps", "overlay.mp4", "people.csv", "report.html", "run.json"]


def go(
    out: Path,
    source: VideoSource,
    predictor: StandInPredictor | None = None,
    *,
    outputs: OutputSettings = ALL,
    overwrite: bool = False,
    sinks: list[Sink] | None = None,
    report: Report = silent,
    cancel: Callable[[], bool] | None = None,
) -> RunSummary:
    predictor = predictor or StandInPredictor()
    about = {
        "settings": predictor.settings.model_dump(mode="json"),
        "cues": predictor.statements(),
        "weights": predictor.weights(),
    }
    return run(
        source,
        predictor,  # type: ignore[arg-type]
        [*outputs.create(predictor.settings.every), *(sinks or [])],
        ResultFolder(out / "talk", about),
        decisive={"outputs": repr(outputs)},
        overwrite=overwrite,
        report=report,
        cancel=cancel,
    )


def stopping(after: int, kind: type[BaseException] = KeyboardInterrupt) -> Report:
    """Ends the run once ``after`` frames are done."""

    def report(progress: Progress) -> None:
        if progress.done == after:
            raise kind

    return report


def interrupt(out: Path, source: VideoSource, after: int, **options: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(out, source, report=stopping(after), **options)


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def content(folder: Path) -> dict[str, str]:
    """A checksum for every result: of bytes, or of decoded frames and their times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".mp4":
            with open_source(path) as video:
                frames = b"".join(f.image.tobytes() + repr(round(f.time, 4)).encode() for f in video)
            found[name] = hashlib.sha256(frames).hexdigest()
        elif path.is_file() and path.name not in ("run.json", "report.html"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name == "report.html":
            found[name] = path.read_text().split("This run")[0]
    return found


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an uninterrupted run leaves."""
    out = tmp_path_factory.mktemp("whole")
    with open_source(clip) as source:
        go(out, source)
    return content(out / "talk")


# --- what is there -------------------------------------------------------------------------------------------


def test_leaves_what_the_contract_says(tmp_path: Path, source: VideoSource) -> None:
    summary = go(tmp_path, source)
    folder = tmp_path / "talk"
    assert (summary.folder, summary.done, summary.unchanged) == (folder, FRAMES, False)
    assert sorted(item.name for item in folder.iterdir()) == NAMES
    header = (folder / "frames.csv").read_text().splitlines()[0]
    expected = "frame,time,focus_x,focus_y,focus_value,entropy,gate_captured,gate_faces,faces"
    assert header == expected
    frames = read_table(folder / "frames.csv")
    assert [int(row["frame"]) for row in frames] == list(range(FRAMES))
    assert frames[0]["faces"] == "2"
    header = (folder / "people.csv").read_text().splitlines()[0]
    assert header == "frame,time,track_id,x1,y1,x2,y2,score,attention,speaking"
    assert len(read_table(folder / "people.csv")) == 2 * FRAMES
    maps = sorted(item.name for item in (folder / "maps").iterdir())
    assert maps == [f"{i + 1:06d}.png" for i in range(FRAMES)]
    assert cv2.imread(str(folder / "maps" / maps[0]), cv2.IMREAD_UNCHANGED).shape == (24, 36)
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["frames"] == {"done": FRAMES, "skipped": 0, "failed": 0}
    assert manifest["weights"] == StandInPredictor().weights()
    assert len(manifest["input"]["sha256"]) == 64
    assert manifest["versions"]["python"]
    assert {*manifest["files"], "run.json"} == {item.name for item in folder.iterdir()}


def test_overlay_keeps_size_times_and_sound(tmp_path: Path, source: VideoSource) -> None:
    go(tmp_path, source)
    with open_source(tmp_path / "talk" / "overlay.mp4") as overlay:
        assert (overlay.width, overlay.height, overlay.has_sound) == (96, 64, True)
        times = [frame.time for frame in overlay]
    np.testing.assert_allclose(times, [frame.time for frame in source], atol=1e-4)


def test_second_call_does_nothing(tmp_path: Path, source: VideoSource) -> None:
    go(tmp_path, source)
    before = {item.name: item.stat().st_mtime_ns for item in (tmp_path / "talk").iterdir()}
    again = StandInPredictor()
    summary = go(tmp_path, source, again)
    assert (summary.unchanged, summary.done, again.begun) == (True, FRAMES, [])
    assert {item.name: item.stat().st_mtime_ns for item in (tmp_path / "talk").iterdir()} == before


@pytest.mark.parametrize("change", ["seed", "batch", "outputs", "overwrite", "missing file", "weights"])
def test_runs_again_when_something_changed(tmp_path: Path, source: VideoSource, change: str) -> None:
    go(tmp_path, source)
    folder, predictor, options = tmp_path / "talk", StandInPredictor(), {}
    if change in ("seed", "batch"):
        predictor.settings = PredictSettings(**{**predictor.settings.model_dump(), change: 2})
    elif change == "outputs":
        options["outputs"] = OutputSettings(report=False)
    elif change == "overwrite":
        options["overwrite"] = True
    elif change == "weights":
        predictor.files = (("glance", "1"),)
    else:
        (folder / "frames.csv").unlink()
    assert not go(tmp_path, source, predictor, **options).unchanged
    assert predictor.computed == list(range(FRAMES))
    assert (folder / "grid.mp4").exists() == (change != "outputs")
    assert (folder / "frames.csv").exists()


@pytest.mark.parametrize("change", [{"threads": 3}, {"device": "cpu"}])
def test_what_is_asked_for_and_has_no_effect_does_not_matter(
    tmp_path: Path, source: VideoSource, change: dict[str, Any]
) -> None:
    # What threads and devices come to is told by the predictor that uses them.
    go(tmp_path, source, outputs=TABLES)
    settings = PredictSettings(**{**StandInPredictor().settings.model_dump(), **change})
    assert go(tmp_path, source, StandInPredictor(settings), outputs=TABLES).unchanged


def test_images_in_memory_never_count_as_unchanged(tmp_path: Path) -> None:
    for _ in range(2):
        with open_source(np.zeros((3, 16, 16, 3), np.uint8)) as memory:
            assert not go(tmp_path, memory, outputs=TABLES).unchanged
    assert len(read_table(tmp_path / "talk" / "frames.csv")) == 3


# --- going on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [1, 8, 23, 32, 39, 40])
def test_an_interrupted_run_is_named_partial_and_goes_on_exactly(
    tmp_path: Path, source: VideoSource, whole: dict[str, str], after: int
) -> None:
    interrupt(tmp_path, source, after)
    folder = tmp_path / "talk"
    visible = {item.name for item in folder.iterdir()} - {".partial"}
    assert visible == {
        *("overlay.partial.mp4", "grid.partial.mp4", "frames.partial.csv", "people.partial.csv"),
        *("maps.partial", "report.partial.html", "run.json"),
    }
    manifest = json.loads((folder / "run.json").read_text())
    assert (manifest["status"], manifest["frames"]["done"]) == ("partial", after)
    assert len(read_table(folder / "frames.partial.csv")) == after
    with open_source(folder / "overlay.partial.mp4") as partial:
        assert sum(1 for _ in partial) == after
    predictor = StandInPredictor()
    go(tmp_path, source, predictor)
    kept = (after - 1) // 8 * 8  # a piece ends when the next one begins
    assert min(predictor.computed) == max(0, kept - 4)
    assert sorted(item.name for item in folder.iterdir()) == NAMES
    assert content(folder) == whole
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["frames"]["done"] == FRAMES
    assert manifest["timing"]["resumed"] == (kept > 0)


def test_interrupted_again_and_again(tmp_path: Path, source: VideoSource, whole: dict[str, str]) -> None:
    for after in (3, 9, 17, 12, 30, 39):
        interrupt(tmp_path, source, after) if after not in (12,) else None
    go(tmp_path, source)
    assert content(tmp_path / "talk") == whole


class Killed(BaseException):
    """Stands for the end of the process: nothing else is done after it."""


@pytest.mark.parametrize("after", [5, 16, 31])
def test_a_killed_run_goes_on_after_its_last_whole_piece(
    tmp_path: Path, source: VideoSource, whole: dict[str, str], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("gasp.runs.run.Job.save_partial", lambda self: None)
        with pytest.raises(Killed):
            go(tmp_path, source, report=stopping(after, Killed))
    assert not (tmp_path / "talk" / "run.json").exists()
    predictor = StandInPredictor()
    go(tmp_path, source, predictor)
    assert min(predictor.computed) == max(0, (after - 1) // 8 * 8 - 4)
    assert content(tmp_path / "talk") == whole


@pytest.mark.parametrize("number", range(1, 60, 4))
def test_killed_between_any_two_steps_of_publishing(
    tmp_path: Path, source: VideoSource, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is left as it is at the n-th renaming or removal; the next run completes it."""
    folder = tmp_path / "talk"
    outputs = OutputSettings(overlay=False)
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    go(tmp_path, source, outputs=outputs)
    expected = content(folder)
    old = StandInPredictor(files=(("glance", "old"),))
    go(tmp_path, source, old, outputs=outputs)
    count = 0

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **words: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                raise Killed
            return real(*args, **words)

        return call

    with monkeypatch.context() as patched:
        patched.setattr("gasp.runs.run.Job.save_partial", lambda self: None)
        patched.setattr("gasp.results.folder.os.replace", counting(os.replace))
        patched.setattr(
            "gasp.results.folder.remove", counting(__import__("gasp.work.files").work.files.remove)
        )
        patched.setattr("gasp.runs.run.uninterrupted", uninterrupted)
        killed = False
        try:
            go(tmp_path, source, outputs=outputs)
        except Killed:
            killed = True
    assert killed or count < number
    go(tmp_path, source, outputs=outputs)
    assert content(folder) == expected
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (folder / ".partial").exists()


def test_people_keep_their_numbers(tmp_path: Path, source: VideoSource) -> None:
    def draw(frame: Frame) -> Prediction:
        # As a tracker that began at frame 4 or 12 would number them.
        return predict_frame(frame, first_track=1 if frame.index < 8 else 7, faces=2)

    go(tmp_path, source, StandInPredictor(draw=draw), outputs=TABLES)
    numbers = {row["track_id"] for row in read_table(tmp_path / "talk" / "people.csv")}
    # In frames that two pieces share (4 to 7) nobody has another number, and later ones are new or the same.
    assert {"1", "2"} <= numbers


def test_older_results_stay_until_the_new_ones_are_complete(tmp_path: Path, source: VideoSource) -> None:
    folder = tmp_path / "talk"
    go(tmp_path, source)
    before = (folder / "run.json").read_bytes()
    other = StandInPredictor(files=(("glance", "other"),))
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, source, other, report=stopping(12))
    assert (folder / "run.json").read_bytes() == before
    assert json.loads((folder / "run.partial.json").read_text())["status"] == "partial"
    assert len(read_table(folder / "frames.csv")) == FRAMES
    go(tmp_path, source, StandInPredictor(files=(("glance", "other"),)))
    assert not list(folder.glob("*partial*"))


def test_an_error_before_the_first_frame_leaves_nothing(tmp_path: Path, source: VideoSource) -> None:
    def fail(_frame: Frame) -> Prediction:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        go(tmp_path, source, StandInPredictor(draw=fail))
    assert not (tmp_path / "talk").exists()


def test_a_source_without_frames(
    tmp_path: Path, source: VideoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(source), "frames", lambda self, start_index=0, every=1: iter(()))
    with pytest.raises(InputError, match="not one image"):
        go(tmp_path, source)
    assert not (tmp_path / "talk").exists()


def test_what_was_done_before_an_error_is_kept(tmp_path: Path, source: VideoSource) -> None:
    def draw(frame: Frame) -> Prediction:
        if frame.index == 14:
            raise ValueError("decoder")
        return predict_frame(frame)

    with pytest.raises(ValueError, match="decoder"):
        go(tmp_path, source, StandInPredictor(draw=draw))
    assert len(read_table(tmp_path / "talk" / "frames.partial.csv")) == 12, "three blocks of four"


def test_cancelling(tmp_path: Path, source: VideoSource, whole: dict[str, str]) -> None:
    asked: list[None] = []

    def cancel() -> bool:
        asked.append(None)
        return len(asked) > 10

    with pytest.raises(CancelledError, match="goes on after the last whole piece"):
        go(tmp_path, source, cancel=cancel)
    assert len(read_table(tmp_path / "talk" / "frames.partial.csv")) == 10
    go(tmp_path, source)
    assert content(tmp_path / "talk") == whole


def test_failed_frames_are_counted_once(tmp_path: Path, source: VideoSource) -> None:
    def draw(frame: Frame) -> Prediction:
        return replace(predict_frame(frame), failed=frame.index in (0, 6, 21))

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, source, StandInPredictor(draw=draw), report=stopping(18))
    go(tmp_path, source, StandInPredictor(draw=draw))
    assert json.loads((tmp_path / "talk" / "run.json").read_text())["frames"]["failed"] == 3


def test_a_pipeline_that_remembers_everything_begins_anew(tmp_path: Path, source: VideoSource) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, source, StandInPredictor(warm_up=None), report=stopping(30))
    predictor = StandInPredictor(warm_up=None)
    go(tmp_path, source, predictor)
    assert predictor.computed == list(range(FRAMES))
    assert len(predictor.begun[-1].seen) == FRAMES


@pytest.mark.parametrize("latency", [0, 1, 3, 9])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_every_other_frame_and_cues_that_look_ahead(
    tmp_path: Path, source: VideoSource, every: int, latency: int
) -> None:
    settings = PredictSettings(piece=8, batch=4, every=every, cues=("captured", "faces"))

    def predictor() -> StandInPredictor:
        return StandInPredictor(settings, latency=latency)

    go(tmp_path / "whole", source, predictor(), outputs=TABLES)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, source, predictor(), outputs=TABLES, report=stopping(10))
    go(tmp_path, source, predictor(), outputs=TABLES)
    frames = [int(row["frame"]) for row in read_table(tmp_path / "talk" / "frames.csv")]
    assert frames == list(range(0, FRAMES, every))
    assert content(tmp_path / "talk") == content(tmp_path / "whole" / "talk")


@pytest.mark.parametrize("latency", [0, 3, 9])
def test_a_source_that_fails_for_a_while(
    tmp_path: Path, source: VideoSource, latency: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was cut off is no whole piece: the next run, whose source is well, leaves what an undisturbed one does."""

    def predictor() -> StandInPredictor:
        return StandInPredictor(latency=latency)

    go(tmp_path / "whole", source, predictor(), outputs=TABLES)
    frames = type(source).frames

    def torn(self: VideoSource, start_index: int = 0, every: int = 1) -> Iterator[Frame]:
        for frame in frames(self, start_index, every):
            if frame.index == 18:
                raise InputError("torn")
            yield frame

    with monkeypatch.context() as patched:
        patched.setattr(type(source), "frames", torn)
        with pytest.raises(InputError, match="torn"):
            go(tmp_path, source, predictor(), outputs=TABLES)
    rows = read_table(tmp_path / "talk" / "frames.partial.csv")
    assert [int(row["frame"]) for row in rows] == list(range(len(rows)))
    assert 16 <= len(rows) <= 18
    go(tmp_path, source, predictor(), outputs=TABLES)
    assert content(tmp_path / "talk") == content(tmp_path / "whole" / "talk")


@pytest.mark.parametrize("after", [5, 13, 20, 25])
def test_pieces_without_a_single_image(tmp_path: Path, after: int) -> None:
    """Damaged images make a hole larger than a piece; pieces are shorter than what is computed before them."""
    folder = tmp_path / "shots"
    folder.mkdir()
    for index in range(40):
        ok, data = cv2.imencode(".png", np.full((64, 96, 3), index, np.uint8))
        assert ok
        hole = 8 <= index < 18 or index in (24, 25, 26, 27)
        (folder / f"{index:03d}.png").write_bytes(b"damaged" if hole else data.tobytes())

    def predictor() -> StandInPredictor:
        small = PredictSettings(piece=4, batch=4, cues=("captured", "faces"))
        return StandInPredictor(small, warm_up=10)

    with open_source(folder) as shots:
        go(tmp_path / "whole", shots, predictor(), outputs=TABLES)
    with open_source(folder) as shots, pytest.raises(KeyboardInterrupt):
        go(tmp_path, shots, predictor(), outputs=TABLES, report=stopping(after))
    with open_source(folder) as shots:
        go(tmp_path, shots, predictor(), outputs=TABLES)
    assert content(tmp_path / "talk") == content(tmp_path / "whole" / "talk")
    whole, resumed = (
        json.loads((out / "talk" / "run.json").read_text())["frames"]
        for out in (tmp_path / "whole", tmp_path)
    )
    assert whole == resumed == {"done": 26, "skipped": 14, "failed": 0}


# --- trouble with the disk -----------------------------------------------------------------------------------


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_frame_that_cannot_be_written_costs_its_piece(tmp_path: Path, source: VideoSource) -> None:
    def draw(frame: Frame) -> Prediction:
        one = predict_frame(frame)
        return replace(one, image=one.image[:32]) if frame.index == 14 else one

    with pytest.raises(UsageError, match="96 x 64"):
        go(tmp_path, source, StandInPredictor(draw=draw))
    assert len(read_table(tmp_path / "talk" / "frames.partial.csv")) == 8


def test_a_disk_that_is_full_at_the_end_leaves_what_is_whole(
    tmp_path: Path, source: VideoSource, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "talk"
    with monkeypatch.context() as patched:
        patched.setattr("gasp.results.videos.join_videos", no_room)
        with pytest.raises(OutputError, match="No space left"):
            go(tmp_path, source)
    assert len(read_table(folder / "frames.partial.csv")) == FRAMES
    assert json.loads((folder / "run.json").read_text())["files"] == ["frames.csv", "people.csv"]
    assert not (folder / "overlay.partial.mp4").exists()
    predictor = StandInPredictor()
    go(tmp_path, source, predictor)
    assert predictor.computed == [], "what is there need not be predicted again"
    assert content(folder) == whole


def test_of_a_piece_that_cannot_be_finished_the_tables_are_kept(
    tmp_path: Path, source: VideoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gasp.results.videos.VideoWriter.close", no_room)
    with pytest.raises(OutputError, match="No space left"):
        go(tmp_path, source)
    names = {item.name for item in (tmp_path / "talk").iterdir()}
    assert names == {"frames.partial.csv", "people.partial.csv", "run.json"}
    assert len(read_table(tmp_path / "talk" / "frames.partial.csv")) == 8


def test_interruption_waits_for_the_end_of_a_step() -> None:
    done = False
    # Tests that run in the background inherit that Ctrl-C is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
            signal.raise_signal(signal.SIGINT)
            done = True
        assert done
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_file_in_the_way(tmp_path: Path, source: VideoSource) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="out"):
        go(tmp_path / "out", source)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_unwritable_folder(tmp_path: Path, source: VideoSource) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="ermission"):
        go(tmp_path, source)


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path, source: VideoSource) -> None:
    work = tmp_path / "talk" / ".partial"
    work.mkdir(parents=True)
    with FileLock(str(work / "lock")), pytest.raises(OutputError, match="another run"):
        go(tmp_path, source)


# --- what we did not write so --------------------------------------------------------------------------------

HOSTILE = [
    "",
    "5",
    "null",
    "[" * 100_000,
    "{",
    '{"a": 1}',
    "\x00\x01\xff",
    '{"format": 3, "files": {}, "about": 5}',
]


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    "harm", ["records emptied", "records shortened", "overlay shortened", "a map lost", *HOSTILE]
)
def test_a_damaged_piece_is_made_again(
    tmp_path: Path, source: VideoSource, whole: dict[str, str], harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    interrupt(tmp_path, source, 30)
    pieces = sorted((tmp_path / "talk" / ".partial" / "pieces").iterdir())
    assert len(pieces) == 3
    if harm == "records emptied":
        (pieces[1] / "records.jsonl").write_text("")
    elif harm == "records shortened":
        shorten(pieces[1] / "records.jsonl")
    elif harm == "overlay shortened":
        shorten(next(pieces[1].rglob("overlay.mp4")))
    elif harm == "a map lost":
        next(pieces[1].rglob("*.png")).unlink()
    else:
        (pieces[1] / "piece.json").write_text(harm, encoding="latin-1")
    predictor = StandInPredictor()
    go(tmp_path, source, predictor)
    assert set(range(8, 16)) <= set(predictor.computed)
    assert not {17, 18, 0} & set(predictor.computed), "the other pieces stay"
    assert content(tmp_path / "talk") == whole


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", ["plan.json", "publishing.json", "pieces", "writing"])
def test_a_foreign_work_folder_counts_as_absent(
    tmp_path: Path, source: VideoSource, whole: dict[str, str], name: str, text: str
) -> None:
    interrupt(tmp_path, source, 30)
    path = tmp_path / "talk" / ".partial" / name
    if path.is_dir():
        __import__("shutil").rmtree(path)
    path.write_text(text, encoding="latin-1")
    go(tmp_path, source)
    assert content(tmp_path / "talk") == whole


def test_a_work_folder_that_leads_elsewhere(tmp_path: Path, source: VideoSource) -> None:
    other = tmp_path / "other"
    (other / "pieces").mkdir(parents=True)
    (other / "pieces" / "mine.txt").write_text("mine")
    (tmp_path / "talk").mkdir()
    (tmp_path / "talk" / ".partial").symlink_to(other)
    with pytest.raises(OutputError, match="in the way"):
        go(tmp_path, source)
    assert (other / "pieces" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    [
        *HOSTILE,
        '{"frames": null}',
        '{"input": {"path": 5}}',
        '{"format": "gasp-run-1", "status": "complete", "files": ["../../victim"]}',
        '{"format": "gasp-run-1", "status": "complete", "frames": {"done": "x"}}',
        '{"format": "gasp-run-1", "files": ["notes.txt"]}',
        '{"format": "gasp-run-1", "status": "complete", "files": ["\\ud800"]}',
    ],
)
def test_a_manifest_that_is_not_ours_is_kept_and_relied_on_for_nothing(
    tmp_path: Path, source: VideoSource, text: str
) -> None:
    folder = tmp_path / "talk"
    folder.mkdir()
    (tmp_path / "victim").write_text("mine")
    (folder / "run.json").write_text(text, encoding="latin-1")
    go(tmp_path, source, outputs=TABLES)
    assert json.loads((folder / "run.json").read_text())["status"] == "complete"
    assert (folder / "run.1.json").read_text(encoding="latin-1") == text
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize("name", ["maps/", "frames.csv", "overlay.mp4", "report.html"])
def test_what_is_not_ours_is_not_replaced_unasked(tmp_path: Path, source: VideoSource, name: str) -> None:
    folder = tmp_path / "talk"
    mine = folder / (name + "mine.png" if name.endswith("/") else name)
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    predictor = StandInPredictor()
    with pytest.raises(OutputError, match=rf"holds {name.strip('/')}.*--overwrite"):
        go(tmp_path, source, predictor)
    assert predictor.begun == [], "it is said before anything is computed"
    assert [path for path in folder.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine"
    go(tmp_path, source, overwrite=True)
    assert sorted(item.name for item in folder.iterdir()) == NAMES


def test_what_appears_while_a_run_is_under_way_is_not_replaced(tmp_path: Path, source: VideoSource) -> None:
    def report(progress: Progress) -> None:
        (tmp_path / "talk" / "people.csv").write_text("mine")

    with pytest.raises(OutputError, match=r"holds people\.csv"):
        go(tmp_path, source, report=report)
    assert (tmp_path / "talk" / "people.csv").read_text() == "mine"
    (tmp_path / "talk" / "people.csv").unlink()
    predictor = StandInPredictor()
    go(tmp_path, source, predictor)
    assert predictor.computed == []


def test_unfinished_results_of_others_stay(tmp_path: Path, source: VideoSource) -> None:
    """What is called like unfinished results of ours, and is none, survives interruptions and complete runs."""
    folder = tmp_path / "talk"
    mine = [
        folder / "maps.partial" / "mine.png",
        folder / "frames.partial.csv",
        folder / "overlay.partial.mp4",
    ]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    for after in (12, 20):
        interrupt(tmp_path, source, after)
    for _ in range(2):
        go(tmp_path, source)
        go(tmp_path, source, StandInPredictor(files=(("glance", "2"),)))
    assert [path.read_text() for path in mine] == ["mine"] * 3
    assert not (folder / "people.partial.csv").exists()


def test_files_beside_ours_stay(tmp_path: Path, source: VideoSource) -> None:
    folder = tmp_path / "talk"
    go(tmp_path, source)
    (folder / "notes.txt").write_text("mine")
    (folder / "maps" / "extra.txt").write_text("within a folder of ours")
    go(tmp_path, source, StandInPredictor(files=(("glance", "2"),)), outputs=TABLES)
    assert (folder / "notes.txt").read_text() == "mine"
    assert sorted(item.name for item in folder.iterdir()) == [
        "frames.csv",
        "notes.txt",
        "people.csv",
        "run.json",
    ]


# --- sinks of others -----------------------------------------------------------------------------------------


class Course(Sink):
    """Counts, in its pieces and in all."""

    name = "course"
    files = ("course.txt",)

    def begin(self, folder: Path, source: VideoSource) -> None:
        self.folder, self.lines = folder, []

    def write(self, prediction: Prediction) -> None:
        self.lines.append(str(prediction.index))

    def piece(self) -> dict[str, Any]:
        (self.folder / "lines.txt").write_text("\n".join(self.lines))
        return {"count": len(self.lines)}

    def join(self, pieces: Pieces) -> None:
        assert sum(piece.about["count"] for piece in pieces) == sum(piece.frames for piece in pieces)
        text = "\n".join((piece.folder / "lines.txt").read_text() for piece in pieces)
        (pieces.into / "course.txt").write_text(text)

    def close(self, complete: bool) -> None:
        self.closed = complete


def test_sinks_of_others_go_on_as_ours_do(tmp_path: Path, source: VideoSource) -> None:
    first = Course()
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, source, outputs=TABLES, sinks=[first], report=stopping(19))
    assert first.closed is False
    lines = (tmp_path / "talk" / "course.partial.txt").read_text().split()
    assert lines == [str(i) for i in range(19)]
    second = Course()
    go(tmp_path, source, outputs=TABLES, sinks=[second])
    assert second.closed is True
    assert (tmp_path / "talk" / "course.txt").read_text().split() == [str(i) for i in range(FRAMES)]


def test_generating_and_predicting_take_up_only_their_own(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / ".partial")
    with work.locked():
        work.begin("one")
        folder = work.writing()
        (folder / "file.txt").write_text("x")
        work.commit(folder, "000000", {"a": 1})
    with work.locked():
        assert [piece.about for piece in work.begin("one")] == [{"a": 1}]
    with work.locked():
        assert work.begin("two") == []
    with pytest.raises(GaspError), work.locked(), WorkFolder(tmp_path / ".partial").locked():
        pass


def test_tables_count_in_source_pixels_and_videos_keep_the_shape(tmp_path: Path) -> None:
    path = write_video(tmp_path / "dv.mp4", moving_square(12, WIDTH // 2, HEIGHT), pixel_aspect=Fraction(2))
    with open_source(path) as source:
        interrupt(tmp_path, source, 9)
        go(tmp_path, source)
    folder = tmp_path / "talk"
    first = read_table(folder / "people.csv")[0]
    assert [float(first[side]) for side in ("x1", "y1", "x2", "y2")] == [5, 12, 15, 36]
    frame = predict_frame(Frame(0, 0.0, np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    focus = read_table(folder / "frames.csv")[0]
    assert float(focus["focus_x"]) == pytest.approx(frame.focus.x / 2, abs=0.11)
    assert float(focus["focus_y"]) == frame.focus.y
    with open_source(folder / "overlay.mp4") as overlay:
        assert (overlay.width, overlay.height, overlay.stored_size) == (WIDTH, HEIGHT, (WIDTH, HEIGHT))
    about = json.loads((folder / "run.json").read_text())["input"]
    told = {
        name: about[name] for name in ("width", "height", "pixel_aspect", "display_width", "display_height")
    }
    assert told == {
        "width": WIDTH // 2, "height": HEIGHT, "pixel_aspect": 2.0,
        "display_width": WIDTH, "display_height": HEIGHT,
    }  # fmt: skip
