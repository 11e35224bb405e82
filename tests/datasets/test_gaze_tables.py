"""Tables of gaze as spreadsheets and scripts leave them, and tables that cannot be right."""

from __future__ import annotations

import os

import numpy as np
import pytest

from gasp.datasets import FindWhoSet, ImageSet, open_set
from gasp.datasets.grouped import GroupedVideo
from gasp.errors import InputError, UsageError
from gasp.evaluation.settings import EvaluationSettings
from helpers import gaze_sets
from helpers.gaze_sets import FRAMES, HEIGHT, WIDTH

HEAD = "video,observer,onset_ms,duration_ms,x,y"
ROWS = [
    f"talk,{observer},{40 * k},40,{20.5 + k},{30.25 + observer}"
    for observer in range(3)
    for k in range(FRAMES)
]
PLAIN = "\n".join([HEAD, *ROWS]) + "\n"


def read(folder, data, videos=("talk",)):
    gaze_sets.make_table(folder, videos)
    (folder / "fixations.csv").write_bytes(data if isinstance(data, bytes) else data.encode())
    return open_set("own", folder)


def same(own):
    found = own.fixations("talk")
    assert len(found) == len(ROWS)
    assert (found.x[1], found.y[1], found.onset[1]) == (21.5, 30.25, 0.04)
    assert own.skipped == {}


FORMS = {
    "semicolons": PLAIN.replace(",", ";"),
    "semicolons and decimal commas": PLAIN.replace(",", ";").replace(".", ","),
    "tabs": PLAIN.replace(",", "\t"),
    "tabs and decimal commas": PLAIN.replace(",", "\t").replace(".", ","),
    "bars": PLAIN.replace(",", "|"),
    "what Excel writes": "sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"),
    "old line ends": PLAIN.replace("\n", "\r"),
    "other letter case": PLAIN.replace(HEAD, "Video,OBSERVER,Onset_ms,Duration_MS,X,Y"),
    "comments": "# recorded in May\n" + PLAIN.replace("talk,1,0", "# second observer, left eye\ntalk,1,0"),
    "names with suffix": PLAIN.replace("talk", "talk.mp4"),
    "names with and without suffix": PLAIN.replace("talk,1", "talk.mp4,1"),
    "quotes": PLAIN.replace("talk", '"talk"'),
    "blank lines": PLAIN.replace("\n", "\n\n"),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_tables_of_all_kinds_are_the_same_table(text, tmp_path):
    same(read(tmp_path, text))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
def test_tables_in_other_encodings(encoding, tmp_path):
    own = read(tmp_path, PLAIN.replace("talk,1,", "talk,zoé,").encode(encoding))
    same(own)


def test_the_file_that_a_row_names_is_the_one_that_is_read(tmp_path):
    gaze_sets.make_video(tmp_path / "videos" / "talk.mkv", 25)
    own = read(tmp_path, PLAIN.replace("talk", "talk.mkv"))
    assert own.ids == ["talk"]
    assert own.video("talk").path.name == "talk.mkv"
    (tmp_path / "fixations.csv").write_text(
        PLAIN.replace("talk,1", "talk.mkv,1").replace("talk,2", "talk.mp4,2")
    )
    with pytest.raises(InputError, match=r"talk\.mkv and talk\.mp4"):
        open_set("own", tmp_path)


def test_a_list_of_videos_may_name_files_too(tmp_path):
    gaze_sets.make_table(tmp_path)
    (tmp_path / "videos.csv").write_text("Video;FPS\ntalk.mp4;25,0\n")
    same_set = open_set("own", tmp_path)
    assert same_set.ids == ["talk"]
    (tmp_path / "videos.csv").write_text("video,fps\ntalk.mp4,25\ntalk.mp4,30\n")
    with pytest.raises(InputError, match="twice"):
        open_set("own", tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PLAIN.replace("duration_ms", "x"), "'x' occurs twice"),
        (b"\xff\xfe" + "abc".encode("utf-16-le") + b"\x00", "damaged text"),
        ("video,observer\ntalk,1\n", "lacks the column"),
    ],
)
def test_tables_that_cannot_be_read_say_why(data, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read(tmp_path, data)


def test_a_pipe_is_no_table(tmp_path):
    gaze_sets.make_table(tmp_path)
    (tmp_path / "videos.csv").write_text("video,fps\ntalk,25\n")
    (tmp_path / "fixations.csv").unlink()
    os.mkfifo(tmp_path / "fixations.csv")
    with pytest.raises(InputError, match="fixations"):
        open_set("own", tmp_path)


# --- plausibility ------------------------------------------------------------------------------------------


def rows(
    scale_onset=1.0, scale_duration=1.0, shift=0.0, x=lambda k: 20 + 4 * k, y=lambda o: 30 + o, frames=FRAMES
):
    lines = [HEAD]
    for observer in range(3):
        for k in range(frames):
            onset, duration = shift + 40 * k * scale_onset, (40 + 4 * (k % 3)) * scale_duration
            lines.append(f"talk,{observer},{onset:g},{duration:g},{x(k):g},{y(observer):g}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rows(scale_onset=1e-3, scale_duration=1e-3), "duration_ms.*seconds"),
        (rows(scale_onset=1e3), "onset_ms.*after|onset_ms is beyond.*row"),
        (rows(x=lambda k: 0.2 + 0.05 * k, y=lambda o: 0.5 + 0.1 * o), "fractions"),
        (
            rows(x=lambda k: 1000 + 10 * k, y=lambda o: 30),
            r"x goes from 1000 to 1110.*96 pixels.*36 rows.*row 1\)",
        ),
    ],
    ids=["seconds", "microseconds", "fractions", "the screen's pixels"],
)
def test_impossible_units_stop(text, message, tmp_path):
    own = read(tmp_path, text)
    with pytest.raises(InputError, match=message):
        own.fixations("talk")


def test_onsets_in_seconds_stop(tmp_path):
    gaze_sets.make_table(tmp_path, frames=150)
    (tmp_path / "fixations.csv").write_text(rows(scale_onset=1e-3, frames=150))
    with pytest.raises(InputError, match=r"onset_ms ends at 5\.96 while the video lasts 6\.0 s"):
        open_set("own", tmp_path).fixations("talk")


@pytest.mark.parametrize(
    ("text", "skipped", "said"),
    [
        (rows(shift=160), {"fixations after the end": 12}, "onset_ms is beyond the video's 0.5 s in 12 rows"),
        (rows(shift=-200), {"fixations before the start": 12}, "12 rows (the first is row 1)"),
        (rows(frames=4), {"videos with gaze on a part only": 1}, "% of the video"),
        (
            rows(x=lambda k: 50),
            {"coordinates that hardly vary": 36},
            "x is between 50.0 and 50.0 in all 36 rows",
        ),
        (rows() + "talk,9,0,60000,50,30\n", {"implausibly long fixations": 1}, "1 row (the first is row 37)"),
        (rows() + rows().splitlines()[5] + "\n", {"duplicate rows": 1}, "the first is row 37"),
        (
            rows(x=lambda k: 20 + 9 * k),
            {"coordinates of another picture": 9, "fixations outside": 9},
            "x goes from 20 to 119, but the video has 96 pixels there; 9 rows (the first is row 10) lie outside",
        ),
    ],
)
def test_doubtful_rows_are_counted_and_named(text, skipped, said, tmp_path):
    own = read(tmp_path, text)
    assert len(own.fixations("talk"))
    assert own.skipped == skipped
    assert any(said in problem for problem in own.problems)


def test_a_sound_table_raises_no_doubt(tmp_path):
    own = read(tmp_path, rows())
    assert len(own.fixations("talk")) == 36
    assert own.skipped == {}


# --- limits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("observer", ["1" * 30, "9" * 4000, "²"])
def test_observers_may_have_numbers_of_any_length(observer, tmp_path):
    own = read(tmp_path, PLAIN.replace("talk,1,", f"talk,{observer},"))
    assert len(np.unique(own.fixations("talk").observer)) == 3
    tables = gaze_sets.make_findwho_tables(tmp_path / "findwho")
    text = (tables / "fixations.csv").read_text().replace("001,1,", f"001,{observer},")
    (tables / "fixations.csv").write_text(text)
    assert len(np.unique(FindWhoSet(tables).fixations("001").observer)) == 3


def test_names_that_are_no_text_make_malformed_rows(tmp_path):
    own = read(tmp_path, PLAIN + "ta\x07lk,1,0,40,20,20\n" + f"{'t' * 300},1,0,40,20,20\n")
    assert own.skipped["malformed rows"] == 2
    assert open_set("own", tmp_path).ids == ["talk"]


@pytest.mark.parametrize("number", ["1e400", "1" * 5000, "1_000"])
def test_numbers_beyond_all_bounds_make_malformed_rows(number, tmp_path):
    own = read(tmp_path, PLAIN + f"talk,1,0,40,{number},20\n")
    assert own.skipped == {"malformed rows": 1}


@pytest.mark.parametrize("width", ["30000000", "1" * 200, "0"])
def test_sizes_are_checked_before_a_map_is_made(width, tmp_path):
    folder = gaze_sets.make_findwho_tables(tmp_path / "findwho")
    table = folder / "videos.csv"
    table.write_text(table.read_text().replace(f",{WIDTH},{HEIGHT}", f",{width},{HEIGHT}"))
    with pytest.raises(InputError, match=r"001.*size"):
        FindWhoSet(folder)
    from helpers.evaluation_sets import make_pictures

    pictures = make_pictures(tmp_path / "pictures")
    table = pictures / "images.csv"
    table.write_text(table.read_text().replace(f"a,{WIDTH}", f"a,{width}"))
    with pytest.raises(InputError, match=r"'a'.*size"):
        ImageSet(pictures)


@pytest.mark.parametrize("frames", ["30000000000", "-1"])
def test_lengths_are_checked(frames, tmp_path):
    folder = gaze_sets.make_findwho_tables(tmp_path)
    table = folder / "videos.csv"
    table.write_text(table.read_text().replace(f",25,{FRAMES},", f",25,{frames},"))
    with pytest.raises(InputError, match="length"):
        FindWhoSet(folder)


@pytest.mark.parametrize("name", ["30000000", "9" * 200, "007", "٣"])
def test_folders_of_strange_numbers_are_no_frames(name, tmp_path):
    for frame in ("1", "2", name):
        (tmp_path / frame).mkdir()
        (tmp_path / frame / "captured_1.jpg").write_bytes(b"x")
    video = GroupedVideo("own", "talk", tmp_path)
    assert video.numbers == [1, 2]
    assert "no frame's number" in video.problem()


def test_far_numbers_are_counted_without_a_list(tmp_path):
    for frame in ("1", "9999999"):
        (tmp_path / frame).mkdir()
    assert (
        GroupedVideo("own", "talk", tmp_path).problem()
        == "lacks 9999997 frames between 1 and 9999999, such as 2"
    )


@pytest.mark.parametrize("given", [{"seed": -1}, {"seed": 2**70}, {"draws": 10**12}])
def test_draws_and_seeds_have_limits(given):
    with pytest.raises(UsageError, match=next(iter(given))):
        EvaluationSettings(**given)
