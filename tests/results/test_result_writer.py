from __future__ import annotations

import csv
import errno
import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from filelock import FileLock

from gasp.errors import InputError, OutputError, UsageError
from gasp.pipeline.prediction import Prediction
from gasp.results import sinks
from gasp.results.output_settings import OutputSettings
from gasp.results.sinks import ResultWriter
from gasp.video import VideoSource, open_source
from gasp.work.interrupts import uninterrupted

Predictions = Callable[..., Iterator[Prediction]]
FRAMES = 40
SETTINGS: dict[str, Any] = {"every": 1, "cues": ["captured", "faces"], "batch": 8}
ALL = OutputSettings(overlay=True, grid=True, maps="png", map_size=(36, 24))


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "_SEGMENT_FRAMES", 10)
    monkeypatch.setattr(sinks, "WARM_UP", 5)


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(out: Path, source: VideoSource, predictions: Predictions, **options: Any) -> ResultWriter:
    with ResultWriter(out, source, SETTINGS, **{"outputs": ALL, **options}) as results:
        if not results.complete:
            for prediction in predictions(results.start_index):
                results.write(prediction)
    return results


def interrupt(out: Path, source: VideoSource, predictions: Predictions, after: int, **options: Any) -> None:
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        ResultWriter(out, source, SETTINGS, **{"outputs": ALL, **options}) as results,
    ):
        for prediction in predictions(results.start_index):
            if prediction.index == after:
                raise KeyboardInterrupt
            results.write(prediction)


def test_leaves_what_the_contract_says(tmp_path: Path, source: VideoSource, predictions: Predictions) -> None:
    weights = [{"file": "glance.safetensors", "sha256": "00ff", "licence": "MIT"}]
    run(tmp_path, source, predictions, weights=weights)
    folder = tmp_path / "talk"
    assert sorted(item.name for item in folder.iterdir()) == [
        *("frames.csv", "grid.mp4", "maps", "overlay.mp4", "people.csv", "report.html", "run.json")
    ]
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
    assert manifest["weights"] == weights
    assert len(manifest["input"]["sha256"]) == 64
    assert manifest["versions"]["python"]
    assert {*manifest["files"], "run.json"} == {item.name for item in folder.iterdir()}


def test_overlay_keeps_size_times_and_sound(
    tmp_path: Path, source: VideoSource, predictions: Predictions
) -> None:
    run(tmp_path, source, predictions)
    with open_source(tmp_path / "talk" / "overlay.mp4") as overlay:
        assert (overlay.width, overlay.height, overlay.has_sound) == (96, 64, True)
        times = [frame.time for frame in overlay]
    np.testing.assert_allclose(times, [frame.time for frame in source], atol=1e-4)


def test_second_call_does_nothing(tmp_path: Path, source: VideoSource, predictions: Predictions) -> None:
    run(tmp_path, source, predictions)
    before = {item.name: item.stat().st_mtime_ns for item in (tmp_path / "talk").iterdir()}
    again = run(tmp_path, source, predictions)
    assert again.complete
    assert again.frames_done == FRAMES
    assert {item.name: item.stat().st_mtime_ns for item in (tmp_path / "talk").iterdir()} == before


@pytest.mark.parametrize("change", ["settings", "outputs", "overwrite", "missing file", "weights"])
def test_runs_again_when_something_changed(
    tmp_path: Path, source: VideoSource, predictions: Predictions, change: str
) -> None:
    run(tmp_path, source, predictions)
    folder = tmp_path / "talk"
    options: dict[str, Any] = {"outputs": ALL}
    settings = SETTINGS
    if change == "settings":
        settings = {**SETTINGS, "seed": 1}
    elif change == "outputs":
        options["outputs"] = OutputSettings(report=False)
    elif change == "overwrite":
        options["overwrite"] = True
    elif change == "weights":
        options["weights"] = [{"sha256": "1"}]
    else:
        (folder / "frames.csv").unlink()
    with ResultWriter(tmp_path, source, settings, **options) as results:
        assert not results.complete
        assert results.start_index == 0
        for prediction in predictions():
            results.write(prediction)
    assert (folder / "grid.mp4").exists() == (change != "outputs")
    assert (folder / "frames.csv").exists()


def test_how_fast_does_not_matter(tmp_path: Path, source: VideoSource, predictions: Predictions) -> None:
    run(tmp_path, source, predictions)
    with ResultWriter(tmp_path, source, {**SETTINGS, "batch": 1}, outputs=ALL) as results:
        assert results.complete


@pytest.mark.parametrize("after", [1, 10, 23, 39])
def test_interrupted_run_is_named_partial_and_resumes_exactly(
    tmp_path: Path, source: VideoSource, predictions: Predictions, after: int
) -> None:
    run(tmp_path / "whole", source, predictions)
    interrupt(tmp_path, source, predictions, after)
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

    results = run(tmp_path, source, predictions)
    assert results.start_index == max(0, after - 5)
    whole = tmp_path / "whole" / "talk"
    assert sorted(item.name for item in folder.iterdir()) == sorted(item.name for item in whole.iterdir())
    for name in ("frames.csv", "people.csv"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    for one, other in zip(
        sorted((folder / "maps").iterdir()), sorted((whole / "maps").iterdir()), strict=True
    ):
        assert (one.name, one.read_bytes()) == (other.name, other.read_bytes())
    with open_source(folder / "overlay.mp4") as one, open_source(whole / "overlay.mp4") as other:
        for frame, expected in zip(one, other, strict=True):
            assert frame.time == pytest.approx(expected.time, abs=1e-4)
            # Encoded anew from the interruption on: alike, not equal.
            assert np.abs(frame.image.astype(int) - expected.image).mean() < 4
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["frames"]["done"] == FRAMES
    assert manifest["timing"]["resumed"]


def test_killed_run_goes_on_from_the_latest_checkpoint(
    tmp_path: Path, source: VideoSource, predictions: Predictions
) -> None:
    results = ResultWriter(tmp_path, source, SETTINGS, outputs=ALL).__enter__()
    for prediction in predictions():
        if prediction.index == 25:
            break
        results.write(prediction)
    results._lock.release()  # as the system does when a process dies
    assert not (tmp_path / "talk" / "run.json").exists()
    again = run(tmp_path, source, predictions)
    assert again.start_index == 15
    assert len(read_table(tmp_path / "talk" / "frames.csv")) == FRAMES


def test_people_keep_their_numbers(tmp_path: Path, source: VideoSource, predictions: Predictions) -> None:
    interrupt(tmp_path, source, predictions, 20)
    with ResultWriter(tmp_path, source, SETTINGS, outputs=ALL) as results:
        for prediction in predictions(results.start_index, first_track=7, faces=3):
            results.write(prediction)
    ids = [row["track_id"] for row in read_table(tmp_path / "talk" / "people.csv") if int(row["frame"]) >= 20]
    assert set(ids) == {"1", "2", "3"}


def test_older_results_stay_until_the_new_ones_are_complete(
    tmp_path: Path, source: VideoSource, predictions: Predictions
) -> None:
    folder = tmp_path / "talk"
    run(tmp_path, source, predictions)
    before = (folder / "run.json").read_bytes()
    interrupt(tmp_path, source, predictions, 12, weights=[{"sha256": "other"}])
    assert (folder / "run.json").read_bytes() == before
    assert json.loads((folder / "run.partial.json").read_text())["status"] == "partial"
    assert len(read_table(folder / "frames.csv")) == FRAMES
    run(tmp_path, source, predictions, weights=[{"sha256": "other"}])
    assert not list(folder.glob("*partial*"))


def test_error_before_the_first_frame_leaves_nothing(tmp_path: Path, source: VideoSource) -> None:
    with pytest.raises(RuntimeError), ResultWriter(tmp_path, source, SETTINGS):
        raise RuntimeError
    assert not (tmp_path / "talk").exists()


def test_no_prediction_at_all(tmp_path: Path, source: VideoSource) -> None:
    with pytest.raises(InputError, match="not one picture"), ResultWriter(tmp_path, source, SETTINGS):
        pass


# A run that goes on from the first frame sees again, and counts again, what went wrong before.
@pytest.mark.parametrize(("written", "counted"), [(1, 3), (10, 5)])
def test_events_and_failures_are_recorded(
    written: int, counted: int, tmp_path: Path, source: VideoSource, predictions: Predictions
) -> None:
    with pytest.raises(KeyboardInterrupt), ResultWriter(tmp_path, source, SETTINGS) as results:  # noqa: PT012
        results.events["cue faces failed"] += 2
        for prediction in itertools.islice(predictions(), written):
            results.write(replace(prediction, failed=prediction.index == 0))
        raise KeyboardInterrupt
    with ResultWriter(tmp_path, source, SETTINGS) as results:
        assert bool(results.start_index) == (counted == 5)
        results.events["cue faces failed"] += 3
        for prediction in predictions(results.start_index):
            results.write(prediction)
    manifest = json.loads((tmp_path / "talk" / "run.json").read_text())
    assert manifest["events"] == {"cue faces failed": counted}
    assert manifest["frames"]["failed"] == 1


def test_published_cues_are_predicted_again_from_the_beginning(
    tmp_path: Path, source: VideoSource, predictions: Predictions
) -> None:
    for warm_up, start in ((None, 0), (8, 2), (0, 5)):
        out = tmp_path / str(warm_up)
        with pytest.raises(KeyboardInterrupt), ResultWriter(out, source, SETTINGS) as results:  # noqa: PT012
            for prediction in itertools.islice(predictions(), 10):
                results.write(prediction)
            raise KeyboardInterrupt
        with ResultWriter(out, source, SETTINGS, warm_up=warm_up) as results:
            assert results.start_index == start
            for prediction in predictions(results.start_index):
                results.write(prediction)
        frames = [int(row["frame"]) for row in read_table(out / "talk" / "frames.csv")]
        assert frames == list(range(FRAMES))


def test_every_other_frame(tmp_path: Path, source: VideoSource, predictions: Predictions) -> None:
    settings = {**SETTINGS, "every": 2}
    with pytest.raises(KeyboardInterrupt), ResultWriter(tmp_path, source, settings) as results:  # noqa: PT012
        for prediction in predictions(0, 2):
            if prediction.index == 18:
                raise KeyboardInterrupt
            results.write(prediction)
    with ResultWriter(tmp_path, source, settings) as results:
        assert results.start_index == 8
        for prediction in predictions(results.start_index, 2):
            results.write(prediction)
    frames = [int(row["frame"]) for row in read_table(tmp_path / "talk" / "frames.csv")]
    assert frames == list(range(0, FRAMES, 2))


def test_pictures_in_memory_never_count_as_unchanged(tmp_path: Path, predictions: Predictions) -> None:
    pictures = np.zeros((3, 16, 16, 3), np.uint8)
    for _ in range(2):
        with open_source(pictures) as memory, ResultWriter(tmp_path, memory, SETTINGS) as results:
            assert not results.complete
            for prediction in predictions():
                if prediction.index < 3:
                    results.write(prediction)
    assert len(read_table(tmp_path / "frames" / "frames.csv")) == 3


def test_what_was_done_before_an_error_is_kept(
    tmp_path: Path, source: VideoSource, predictions: Predictions
) -> None:
    with pytest.raises(ValueError, match="decoder"), ResultWriter(tmp_path, source, SETTINGS) as results:  # noqa: PT012
        for prediction in predictions():
            if prediction.index == 4:
                raise ValueError("decoder")
            results.write(prediction)
    assert len(read_table(tmp_path / "talk" / "frames.partial.csv")) == 4


def test_frame_that_cannot_be_written_costs_its_segment(
    tmp_path: Path, source: VideoSource, predictions: Predictions
) -> None:
    with pytest.raises(UsageError, match="96 x 64"), ResultWriter(tmp_path, source, SETTINGS) as results:  # noqa: PT012
        for prediction in predictions():
            if prediction.index == 14:
                prediction.image = prediction.image[:32]
            results.write(prediction)
    assert len(read_table(tmp_path / "talk" / "frames.partial.csv")) == 10
    assert run(tmp_path, source, predictions, outputs=OutputSettings()).start_index == 5


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_is_full_at_the_end_leaves_what_is_whole(
    tmp_path: Path, source: VideoSource, predictions: Predictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "talk"
    with monkeypatch.context() as patched:
        patched.setattr("gasp.results.assembly.join_videos", no_room)
        with pytest.raises(OutputError, match="No space left"):
            run(tmp_path, source, predictions)
    assert len(read_table(folder / "frames.partial.csv")) == FRAMES
    assert json.loads((folder / "run.json").read_text())["files"] == ["frames.csv", "people.csv"]
    assert not (folder / "overlay.partial.mp4").exists()
    # What is there need not be predicted again.
    assert run(tmp_path, source, predictions).start_index == FRAMES - 5
    assert (folder / "overlay.mp4").exists()
    assert not list(folder.glob("*partial*"))


def test_a_segment_that_cannot_be_finished_is_given_up(
    tmp_path: Path, source: VideoSource, predictions: Predictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "_SEGMENT_FRAMES", FRAMES + 1)
    monkeypatch.setattr("gasp.results.work.VideoWriter.close", no_room)
    with pytest.raises(OutputError, match="No space left"):
        run(tmp_path, source, predictions)
    assert list(tmp_path.iterdir()) == []


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
    with pytest.raises(OutputError, match="out"), ResultWriter(tmp_path / "out", source, SETTINGS):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_unwritable_folder(tmp_path: Path, source: VideoSource) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="ermission"), ResultWriter(tmp_path, source, SETTINGS):
        pass


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path, source: VideoSource) -> None:
    work = tmp_path / "talk" / ".partial"
    work.mkdir(parents=True)
    with FileLock(str(work / "lock")), pytest.raises(OutputError, match="another run"):
        ResultWriter(tmp_path, source, SETTINGS).__enter__()


def test_damaged_work_folder_is_not_trusted(
    tmp_path: Path, source: VideoSource, predictions: Predictions
) -> None:
    interrupt(tmp_path, source, predictions, 23)
    segments = sorted((tmp_path / "talk" / ".partial" / "segments").iterdir())
    (segments[1] / "segment.json").write_text("{")
    results = run(tmp_path, source, predictions)
    assert results.start_index == 5
    assert len(read_table(tmp_path / "talk" / "frames.csv")) == FRAMES
