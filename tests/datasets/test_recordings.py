"""Recordings as trackers export them become fixations in the video's pixels and time."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from gasp.cli.main import main
from gasp.datasets import open_set
from gasp.datasets.recordings.detection import detect_fixations
from gasp.datasets.recordings.eyelink import read_eyelink
from gasp.datasets.recordings.viewing import Placement, Rectangle
from gasp.errors import InputError, UsageError
from gasp.evaluation.items import open_items
from helpers import tracker_files
from helpers.tracker_files import FIXATIONS, FPS, RECTANGLE, SCREEN, add_video, expected, on_screen

ON_SCREEN = Placement(SCREEN, Rectangle(*RECTANGLE))


def found(videos, video="talk", observer=None):
    """Onset, x, y of the fixations (of one observer by number), in their order."""
    fixations = videos.fixations(video)
    if observer is not None:
        fixations = fixations.of_observer(observer)
    return np.stack([fixations.onset, fixations.x, fixations.y], 1)


def with_tobii(folder, text=None, **options):
    add_video(folder)
    (folder / "export.tsv").write_text(
        text or tracker_files.tobii(**options), encoding="utf-8-sig", newline=""
    )
    return folder


def with_eyelink(folder, **options):
    add_video(folder)
    (folder / "ada.asc").write_text(tracker_files.eyelink(**options))
    return folder


# --- Tobii -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"per_ms": 1}, {"stimulus": "Talk.mp4"}, {"decimal": ","}])
def test_tobii(options, tmp_path):
    videos = open_set("people", with_tobii(tmp_path, **options))
    assert videos.ids == ["talk"]
    assert videos.observers("talk") == ["P01", "P02"]
    for observer in range(2):
        np.testing.assert_allclose(found(videos, observer=observer), expected(observer), atol=2e-3)
    np.testing.assert_allclose(videos.fixations("talk").duration, 0.24)
    assert videos.skipped == {}
    assert len(videos.fixations_at("talk", 3)) == 2


def test_tobii_with_a_unit_in_the_header(tmp_path):
    text = tracker_files.tobii(per_ms=1000).replace("Recording timestamp", "Recording timestamp [μs]")
    text = text.replace("Gaze event duration", "Gaze event duration [ms]")
    np.testing.assert_allclose(
        found(open_set("people", with_tobii(tmp_path, text)), observer=0), expected(), atol=2e-3
    )


def test_tobii_that_was_shown_twice(tmp_path):
    once = tracker_files.tobii(observers=1)
    again = tracker_files.tobii(observers=1, start_ms=9000).split("\r\n", 1)[1]
    videos = open_set("people", with_tobii(tmp_path, once + again))
    np.testing.assert_allclose(found(videos), np.concatenate([expected(), expected()]), atol=2e-3)


def test_tobii_without_a_column_says_which(tmp_path):
    text = tracker_files.tobii().replace("Fixation point X", "Fixation point Z")
    with pytest.raises(InputError, match=r"export\.tsv lacks the column\(s\) fixation point x"):
        open_set("people", with_tobii(tmp_path, text))


def test_tobii_without_any_hint_at_the_unit_is_refused(tmp_path):
    text = tracker_files.tobii().replace("Gaze event duration", "A").replace("Recording duration", "B")
    with pytest.raises(InputError, match="milliseconds or microseconds"):
        open_set("people", with_tobii(tmp_path, text))


def test_the_place_on_the_screen_may_be_told(tmp_path):
    folder = with_tobii(tmp_path)
    moved = Placement(rectangle=Rectangle(RECTANGLE[0] - 5, RECTANGLE[1], RECTANGLE[2], RECTANGLE[3]))
    np.testing.assert_allclose(
        found(open_set("people", folder, placement=moved), observer=0)[:, 1], expected()[:, 1] + 1
    )
    late = open_set("people", folder, placement=Placement(start=0.1))
    np.testing.assert_allclose(found(late, observer=0)[:, 0], expected()[:, 0] - 0.1, atol=2e-3)
    # In the middle of the screen, as large as fits: 800 x 533.
    middle = open_set("people", folder, placement=Placement(SCREEN))
    np.testing.assert_allclose(found(middle, observer=0)[0, 1], on_screen(0)[0] * 96 / 800)
    np.testing.assert_allclose(found(middle, observer=0)[0, 2], (on_screen(0)[1] - 100 / 3) * 96 / 800)


# --- Pupil -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [False, True], ids=["the folder itself", "folders of several"])
def test_pupil(inside, tmp_path):
    folder = tracker_files.pupil(tmp_path / "ada" if inside else tmp_path)
    videos = open_set("people", tmp_path)
    assert videos.ids == [folder.name]
    assert videos.observers(folder.name) == ["Ada"]
    np.testing.assert_allclose(found(videos, folder.name), expected(), atol=1e-5)
    assert videos.video(folder.name).path.suffix == ".mp4"


def test_pupil_counts_pictures_not_seconds(tmp_path):
    """Pictures that the camera lost move what comes after them."""
    tracker_files.pupil(tmp_path / "ada", missing=10)
    videos = open_set("people", tmp_path)
    onsets = found(videos, "ada")[:, 0]
    assert onsets[2] == pytest.approx(0.5, abs=1e-5)
    assert onsets[-1] == pytest.approx(1.75 - 10 / FPS, abs=1e-5)


def test_pupil_needs_one_scene_video(tmp_path):
    folder = tracker_files.pupil(tmp_path / "ada")
    (folder / "second.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"2 \.mp4 files"):
        open_set("people", tmp_path)
    next(folder.glob("5*.mp4")).unlink()
    (folder / "world_timestamps.csv").write_text("timestamp [ns]\n5\n3\n")
    with pytest.raises(InputError, match="ascending"):
        open_set("people", tmp_path)


# --- EyeLink -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"eyes": "RIGHT"}, {"frames": False}, {"events": False}, {"events": False, "frames": False}],
)
def test_eyelink(options, tmp_path):
    videos = open_set("people", with_eyelink(tmp_path, **options), placement=ON_SCREEN)
    assert videos.observers("talk") == ["ada"]
    np.testing.assert_allclose(found(videos), expected(), atol=3e-3)
    assert videos.skipped == {}


def test_eyelink_with_both_eyes(tmp_path):
    folder = with_eyelink(tmp_path, eyes="LEFT\tRIGHT")
    np.testing.assert_allclose(found(open_set("people", folder, placement=ON_SCREEN)), expected(0), atol=3e-3)
    right = Placement(SCREEN, Rectangle(*RECTANGLE), eye="right")
    np.testing.assert_allclose(found(open_set("people", folder, placement=right)), expected(1), atol=3e-3)


def test_eyelink_says_where_the_video_was(tmp_path):
    """Without options the video is at the corner of the messages, pixel by pixel."""
    videos = open_set("people", with_eyelink(tmp_path))
    (viewing,) = read_eyelink(tmp_path / "ada.asc", lambda name: "talk")
    x, y = viewing.points(videos.video("talk"), Placement())
    assert (x[0], y[0]) == pytest.approx((on_screen(0)[0] - RECTANGLE[0], on_screen(0)[1] - RECTANGLE[1]))
    with pytest.raises(InputError, match="y goes from"):  # it was shown larger in truth
        videos.fixations("talk")


def test_eyelink_of_another_video_is_none(tmp_path):
    for options in ({}, {"frames": False}):
        with pytest.raises(InputError, match="no recording of talk was found"):
            open_set("people", with_eyelink(tmp_path, name="walk.mp4", **options))


def test_stimuli_without_a_video_are_named(tmp_path):
    more = tracker_files.tobii(observers=1, stimulus="walk").split("\r\n", 1)[1]
    videos = open_set("people", with_tobii(tmp_path, tracker_files.tobii() + more))
    assert videos.skipped == {"stimuli without video": 1}
    assert videos.problems == ["no video is there for walk"]


# --- BIDS --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [True, False], ids=["events", "samples"])
def test_bids(events, tmp_path):
    tracker_files.bids(add_video(tmp_path), events=events)
    tracker_files.bids(tmp_path, events=events, subject="02")
    videos = open_set("people", tmp_path, placement=ON_SCREEN)
    assert videos.observers("talk") == ["sub-01", "sub-02"]
    np.testing.assert_allclose(found(videos, observer=1), expected(0), atol=3e-3)
    right = Placement(SCREEN, Rectangle(*RECTANGLE), eye="right")
    np.testing.assert_allclose(
        found(open_set("people", tmp_path, placement=right), observer=0), expected(1), atol=3e-3
    )


def test_bids_whose_task_is_the_video(tmp_path):
    tracker_files.bids(add_video(tmp_path), stim_file=False, task="talk")
    np.testing.assert_allclose(
        found(open_set("people", tmp_path, placement=ON_SCREEN)), expected(), atol=3e-3
    )


def test_bids_screens_are_read(tmp_path):
    tracker_files.bids(add_video(tmp_path))
    fixations = open_set("people", tmp_path).fixations("talk")
    assert fixations.x[0] == pytest.approx(on_screen(0)[0] * 96 / 800)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Columns": ["timestamp", "x_coordinate"]}, "y_coordinate"),
        ({"x_coordinate": {"Units": "degree"}}, "'degree'"),
        ({"timestamp": {"Units": "weeks"}}, "'weeks'"),
    ],
)
def test_bids_that_cannot_be_mapped_says_why(change, message, tmp_path):
    tracker_files.bids(add_video(tmp_path))
    sidecar = tmp_path / "task-watch_physio.json"
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | change))
    with pytest.raises(InputError, match=message):
        open_set("people", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"PhysioType": "eyetrack", "PhysioType": "generic"}', "'PhysioType' occurs twice"),
        ('{"PhysioType": "\\ud800"}', "surrogates"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "no JSON object"),
    ],
)
def test_damaged_sidecars_are_named(text, message, tmp_path):
    tracker_files.bids(add_video(tmp_path))
    (tmp_path / "task-watch_physio.json").write_text(text)
    with pytest.raises(InputError, match=rf"task-watch_physio\.json.*{message}"):
        open_set("people", tmp_path)


@pytest.mark.parametrize(
    "data", [b"no gzip", gzip.compress(b"1\t2\n", mtime=0), gzip.compress(b"\xff\xfe\t" * 9, mtime=0)]
)
def test_damaged_tables_are_named(data, tmp_path):
    tracker_files.bids(add_video(tmp_path))
    for path in (tmp_path / "sub-01" / "beh").glob("*_physio.tsv.gz"):
        path.write_bytes(data)
    with pytest.raises(InputError, match=r"_physio\.tsv\.gz"):
        open_set("people", tmp_path)


# --- all ---------------------------------------------------------------------------------------------------


def test_screens_of_unknown_size_are_asked_for(tmp_path):
    folder = with_eyelink(tmp_path, frames=False)
    (folder / "ada.asc").write_text((folder / "ada.asc").read_text().replace("DISPLAY_COORDS", "DISPLAY"))
    with pytest.raises(InputError, match="--screen"):
        open_set("people", folder).fixations("talk")


def test_wrong_rectangles_do_not_go_unnoticed(tmp_path):
    wrong = Placement(SCREEN, Rectangle(700, 500, 96, 64))
    with pytest.raises(InputError, match="x goes from"):
        open_set("people", with_tobii(tmp_path), placement=wrong).fixations("talk")


@pytest.mark.parametrize(
    "options",
    [{"screen": (0, 5)}, {"rectangle": Rectangle(0, 0, 0, 5)}, {"start": float("nan")}, {"eye": "third"}],
)
def test_impossible_placements(options):
    with pytest.raises(UsageError):
        Placement(**options)


def test_fixations_are_found_in_samples():
    time = np.arange(0, 1, 0.002)
    x = np.where(time < 0.4, 100.0, 300.0) + np.random.default_rng(0).normal(0, 1, len(time))
    y = np.full(len(time), 50.0)
    x[(time > 0.6) & (time < 0.7)] = np.nan  # a blink
    spans = detect_fixations(time, x, y, 20.0)
    np.testing.assert_allclose(time[spans], [[0, 0.398], [0.4, 0.6], [0.7, 0.998]], atol=0.005)
    assert detect_fixations(time, np.linspace(0, 5000, len(time)), y, 20.0).shape == (0, 2)
    assert detect_fixations(time[:0], x[:0], y[:0], 20.0).shape == (0, 2)


def test_evaluation_takes_recordings(tmp_path, capsys):
    folder = with_tobii(tmp_path / "people")
    (item,) = open_items(folder).items
    assert len(item.fixations()) == 2 * FIXATIONS
    maps = tmp_path / "maps" / "talk"
    maps.mkdir(parents=True)
    for frame in range(50):
        np.save(
            maps / f"{frame + 1:06d}.npy", np.random.default_rng(frame).random((16, 24)).astype(np.float32)
        )
    words = ["evaluate", folder, "--system", f"ours={tmp_path / 'maps'}", "--rate", 5, "--draws", 100,
             "--screen", "800x600", "--video-rect", "100,100,480,320", "--gaze-start", 0]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    assert "ours" in capsys.readouterr().out


def test_generation_takes_recordings(tmp_path):
    folder = with_eyelink(tmp_path / "people")
    words = ["generate", "people", "--folder", folder, "-o", tmp_path / "out", "--size", "48x32", "--cues", "captured",
             "--faces", "none", "--screen", "800x600", "--video-rect", "100,100,480,320", "-q"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    assert (
        tmp_path / "out" / "Grouped_frames" / "people" / "talk" / "3" / "transformed_fixmap_1.jpg"
    ).is_file()


@pytest.mark.parametrize(
    "words", [["--screen", "wide"], ["--video-rect", "1,2,3"], ["--video-rect", "0,0,0,0"]]
)
def test_wrong_options_are_named(words, tmp_path, capsys):
    assert main(["evaluate", str(with_tobii(tmp_path)), *words]) == 2
    assert "rect" in capsys.readouterr().err + words[0].replace("--screen", "rect")
