from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from gasp.datasets import StavisMaps, open_set
from gasp.errors import InputError, UsageError
from helpers import gaze_sets
from helpers.gaze_sets import FRAMES, HEIGHT, OBSERVERS, WIDTH, gaze

MAKERS = {
    "coutrot1": lambda folder: gaze_sets.make_coutrot(folder, 1),
    "coutrot2": lambda folder: gaze_sets.make_coutrot(folder, 2),
    "diem": gaze_sets.make_diem,
    "findwho": gaze_sets.make_findwho,
    "summeetmd": gaze_sets.make_summe_etmd,
    "own": gaze_sets.make_table,
}
WITH_LOST = ("coutrot1", "coutrot2", "summeetmd")


@pytest.mark.parametrize("name", MAKERS)
def test_gaze_is_where_it_was_recorded(name, tmp_path):
    videos = open_set(name, MAKERS[name](tmp_path))
    (video,) = videos.ids
    assert videos.name == name
    assert (videos.video(video).width, videos.video(video).height) == (WIDTH, HEIGHT)
    for frame in (0, 5, FRAMES - 1):
        found = videos.fixations_at(video, frame)
        by_observer = sorted(zip(found.observer, found.x, found.y, strict=True))
        expected = [gaze(frame, observer) for observer in range(OBSERVERS)]
        assert [(int(x), int(y)) for _, x, y in by_observer] == expected
        counts = videos.fixation_map_at(video, frame).counts
        assert counts.shape == (HEIGHT, WIDTH)
        assert counts.sum() == OBSERVERS
        assert all(counts[y, x] == 1 for x, y in expected)
        density = videos.density_at(video, frame).values
        row, column = np.unravel_index(density.argmax(), density.shape)
        assert abs(column - expected[1][0]) <= 1
        assert abs(row - expected[1][1]) <= 1
        assert density.sum() == pytest.approx(1)
    lost = len(videos.fixations_at(video, 1))
    assert lost == (OBSERVERS - 1 if name in WITH_LOST else OBSERVERS)
    assert len(videos.fixations_at(video, FRAMES)) == 0


def test_a_density_is_the_weighted_sum_of_gaussians(tmp_path):
    diem = open_set("diem", gaze_sets.make_diem(tmp_path))
    (video,) = diem.ids
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    expected = sum(
        (100 + observer)
        * np.exp(-((x - gaze(4, observer)[0]) ** 2 + (y - gaze(4, observer)[1]) ** 2) / (2 * 60**2))
        for observer in range(OBSERVERS)
    )
    np.testing.assert_allclose(diem.density_at(video, 4).values, expected / expected.sum(), rtol=1e-10)


def test_diem_counts_fixations_only_and_survives_malformed_rows(tmp_path):
    folder = gaze_sets.make_diem(tmp_path)
    name = "talk_96x64"
    text = folder / name / "event_data" / f"diem1s00_{name}.txt"
    text.write_text(text.read_text() + "13\tx\t3\n7\t1\n\n")
    diem = open_set("diem", folder)
    assert len(diem.fixations_at(name, 2)) == 0, "a saccade"
    assert len(diem.fixations_at(name, 3)) == 0, "a blink"
    assert len(diem.fixations_at(name, 4)) == OBSERVERS
    assert diem.skipped == {"malformed rows": 2}
    assert text.name in diem.problems[0]
    assert diem.observers(name) == ["diem1s00", "diem1s01", "diem1s02"]


def test_a_video_at_another_rate_is_named_and_aligned_by_time(tmp_path):
    folder = gaze_sets.make_coutrot(tmp_path, fps=50.0)
    coutrot = open_set("coutrot1", folder)
    found = coutrot.fixations_at("clip_2", 2)  # 0.1 s: column 5 at 50 samples per second
    assert int(found.x[0]) == gaze(5, 0)[0]
    assert coutrot.skipped["other frame rates"] == 1
    assert any("clip_2" in problem and "50" in problem for problem in coutrot.problems)


def test_the_container_clock_moves_the_gaze(tmp_path):
    folder = gaze_sets.make_findwho(tmp_path)
    times = [0.4 + k / 25 for k in range(FRAMES)]
    gaze_sets.make_video(folder / "raw_videos" / "1.mp4", times=times)
    from gasp.datasets import FindWhoMatSet

    late = FindWhoMatSet(folder)
    if late.video("001").first_frame < 0.3:
        pytest.skip("this writer starts every file at 0")
    assert int(late.fixations_at("001", 0).x[0]) == gaze(10, 0)[0]
    assert int(FindWhoMatSet(folder, container_clock=False).fixations_at("001", 0).x[0]) == gaze(0, 0)[0]


def test_missing_videos_and_gaze_are_named(tmp_path):
    folder = gaze_sets.make_coutrot(tmp_path)
    gaze_sets.make_video(folder / "ERB3_Stimuli" / "clip_7.avi", codec="mpeg4")
    coutrot = open_set("coutrot1", folder)
    assert coutrot.ids == ["clip_2"]
    assert coutrot.skipped == {"clips without gaze": 1, "missing videos": 1}
    assert any("clip_7" in problem for problem in coutrot.problems)
    assert any("clip_10" in problem for problem in coutrot.problems)
    with pytest.raises(InputError, match="clip_3"):
        coutrot.fixations("clip_3")


def test_gaze_outside_the_picture_is_counted(tmp_path):
    folder = gaze_sets.make_table(tmp_path)
    with (folder / "fixations.csv").open("a") as file:
        file.write("talk,1,0,40,500,10\ntalk,1,0,40,nan,10\ntalk,1,0,40,,10\ntalk,1,zero,40,1,10\n")
        file.write("talk,1,0,-5,1,10\n../talk,1,0,40,1,1\nother,1,0,40,1,1\n")
    own = open_set("own", folder)
    assert len(own.fixations_at("talk", 0)) == OBSERVERS
    assert own.skipped == {
        "malformed rows": 3, "missing videos": 1, "fixations without video": 1,
        "fixations lost": 2, "fixations outside": 1,
    }  # fmt: skip


HEAD = "video,observer,onset_ms,duration_ms,x,y"
ROW = "talk,1,0,40,30,30"


def own_set(folder, text, encoding="utf-8"):
    gaze_sets.make_table(folder)
    (folder / "fixations.csv").write_bytes(text.encode(encoding))
    return open_set("own", folder)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_may_come_from_spreadsheets(encoding, end, tmp_path):
    text = end.join([HEAD.replace(",", ", "), f"{ROW},,,", "", " , ".join(ROW.split(",")), ""])
    assert len(own_set(tmp_path, text, encoding).fixations("talk")) == 2


@pytest.mark.parametrize(
    "row",
    [
        "talk,1,0,40",
        "talk,1,0,40,3,5,2,5",
        "talk,1,0,40,30,30,-2",
        'talk,1,0,40,"3,5",2,1',
        "talk,1,0,0,30,30,1",
    ],
)
def test_malformed_rows_make_no_fixations(row, tmp_path):
    own = own_set(tmp_path, f"{HEAD},weight\n{ROW},1\n{row}\n")
    assert len(own.fixations("talk")) == 1
    assert own.skipped == {"malformed rows": 1}
    assert own.problems == ["fixations.csv has 1 malformed rows, the first is row 2; they are left out"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (f"{HEAD}\n", "no usable row"),
    ],
)
def test_unusable_tables_say_why(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        own_set(tmp_path, text, "latin-1")


def test_a_video_on_which_nobody_looks_is_named(tmp_path):
    own = own_set(tmp_path, f"{HEAD}\ntalk,1,0,40,nan,nan\n")
    assert len(own.fixations("talk")) == 0
    assert own.skipped == {"fixations lost": 1, "videos without gaze": 1}
    assert own.problems == ["no fixation on talk can be used"]


@pytest.mark.parametrize(
    ("lines", "skipped"),
    [
        ("0\t10\t120\t100\t1\t1\t1\t1\t1\n", {"malformed rows": OBSERVERS}),
        ("1\t10\t120\t-5\t1\t1\t1\t1\t1\n", {"fixations lost": OBSERVERS}),
        ("", {"empty files": OBSERVERS}),
    ],
)
def test_diem_rows_that_cannot_be_right(lines, skipped, tmp_path):
    folder = gaze_sets.make_diem(tmp_path)
    for path in (folder / "talk_96x64" / "event_data").iterdir():
        path.write_text(lines)
    diem = open_set("diem", folder)
    assert len(diem.fixations("talk_96x64")) == 0
    assert diem.skipped == skipped | {"videos without gaze": 1}


def test_gaze_of_another_length_or_shape_is_named(tmp_path):
    def coutrot(data):
        info = {"fps": 25.0, "vidwidth": WIDTH, "vidheight": HEIGHT, "nframe": FRAMES}
        database = {"OriginalSounds": {"clip_2": {"data": data, "info": info}}}
        savemat(tmp_path / "coutrot_database1.mat", {"Coutrot_Database1": database})
        return open_set("coutrot1", tmp_path)

    gaze_sets.make_coutrot(tmp_path)
    gaze_of_all = gaze_sets.samples(dy=20)
    longer = coutrot(np.concatenate([gaze_of_all] * 3, axis=1))
    assert int(longer.fixations_at("clip_2", 3).x[0]) == gaze(3, 0)[0]
    assert longer.skipped["other lengths"] == 1
    with pytest.raises(InputError, match="2 to 3, pictures, observers"):
        coutrot(gaze_of_all[:1]).fixations("clip_2")


def test_faults_are_counted_once_however_often_a_video_is_read(tmp_path):
    names = ("a", "b", "c", "d")
    folder = gaze_sets.make_table(tmp_path, names, frames=2)
    with (folder / "fixations.csv").open("a") as file:
        file.writelines(f"{name},1,0,40,500,10\n" for name in names)
    own = open_set("own", folder)
    for name in names * 2:
        own.fixations(name)
    assert own.skipped == {"fixations outside": 4}


def test_observers_may_have_names_and_fixations_weights(tmp_path):
    folder = gaze_sets.make_table(tmp_path)
    (folder / "fixations.csv").write_text(
        "video,observer,onset_ms,duration_ms,x,y,weight\ntalk,zoe,0,100,10,10,1\ntalk,ada,0,100,80,50,3\n"
    )
    own = open_set("own", folder)
    found = own.fixations_at("talk", 0)
    assert (list(found.observer), list(found.weight)) == ([1, 0], [1, 3])
    density = own.density_at("talk", 0).values
    assert np.unravel_index(density.argmax(), density.shape)[1] == pytest.approx(80, abs=1)


def test_a_list_of_videos_names_a_wrong_rate(tmp_path):
    folder = gaze_sets.make_table(tmp_path)
    (folder / "videos.csv").write_text("video,fps\ntalk,50\nother,25\n")
    own = open_set("own", folder)
    own.fixations("talk")
    assert own.skipped == {"videos without gaze": 1, "other frame rates": 1}
    (folder / "videos.csv").write_text("video,fps\ntalk,nan\n")
    with pytest.raises(InputError, match="frame rate"):
        open_set("own", folder).fixations("talk")


def test_parquet_is_an_extra(tmp_path):
    folder = gaze_sets.make_table(tmp_path)
    table = folder / "fixations.csv"
    table.rename(folder / "fixations.parquet")
    with pytest.raises(InputError, match=r"pyarrow|as Parquet"):
        open_set("own", folder)
    parquet, csv = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.csv")
    parquet.write_table(csv.read_csv(folder / "fixations.parquet"), folder / "fixations.parquet")
    assert len(open_set("own", folder).fixations_at("talk", 0)) == OBSERVERS


def test_damaged_sets_are_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'coutrot1'"):
        open_set("coutrott1")
    with pytest.raises(InputError, match="neither"):
        open_set("own", tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        open_set("diem", tmp_path / "nowhere")
    with pytest.raises(InputError, match="event_data"):
        open_set("diem", tmp_path)
    with pytest.raises(InputError, match=r"coutrot_database1\.mat does not exist"):
        open_set("coutrot1", tmp_path)
    (tmp_path / "coutrot_database1.mat").write_bytes(b"nothing" * 100)
    with pytest.raises(InputError, match="cannot be read as a MATLAB file"):
        open_set("coutrot1", tmp_path)
    savemat(tmp_path / "coutrot_database1.mat", {"other": 1})
    with pytest.raises(InputError, match="Coutrot_Database1"):
        open_set("coutrot1", tmp_path)
    savemat(tmp_path / "coutrot_database1.mat", {"Coutrot_Database1": {"AudioVisual": {"clip_1": 1}}})
    with pytest.raises(InputError, match="OriginalSounds"):
        open_set("coutrot1", tmp_path)


def test_stavis_maps(tmp_path):
    maps = StavisMaps(gaze_sets.make_stavis(tmp_path))
    assert maps.ids == ["diem/talk_96x64"]
    assert maps.frames("diem/talk_96x64") == [1, 2, 3]
    assert np.argwhere(maps.fixation_map_at("diem/talk_96x64", 1).counts).tolist() == [[30, 21]]
    density = maps.density_at("diem/talk_96x64", 0).values
    assert density[20:40, 10:30].sum() == pytest.approx(1, abs=0.02)
    with pytest.raises(InputError, match="does not exist"):
        maps.density_at("diem/talk_96x64", 9)


# --- one recording, one score ------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["authors", "2021"])
def test_findwho_is_the_same_in_both_forms(kernel, tmp_path):
    published = open_set("findwho", gaze_sets.make_findwho(tmp_path / "mat"), kernel=kernel)
    tables = open_set("findwho", gaze_sets.make_findwho_tables(tmp_path / "tables"), kernel=kernel)
    assert published.sigma("001") == tables.sigma("001")
    for frame in (0, 7):
        found, expected = (videos.fixations_at("001", frame) for videos in (published, tables))
        for column in ("x", "y", "observer", "onset", "duration", "weight"):
            np.testing.assert_array_equal(getattr(found, column), getattr(expected, column))
        np.testing.assert_array_equal(
            published.density_at("001", frame).values, tables.density_at("001", frame).values
        )


def test_findwho_is_blurred_as_its_authors_did(tmp_path):
    videos = open_set("findwho", gaze_sets.make_findwho(tmp_path))
    assert videos.sigma("001") * 1280 / WIDTH == pytest.approx(66 / 2.3548, rel=1e-4), (
        "66 px wide at half height"
    )
    assert set(videos.fixations("001").weight) == {1.0}


def test_findwho_of_2021_is_an_option(tmp_path):
    videos = open_set("findwho", gaze_sets.make_findwho(tmp_path), kernel="2021")
    assert videos.sigma("001") == 66
    found = videos.fixations_at("001", 5)
    assert set(found.weight) == {0.04}
    assert (found.x[0], found.y[0]) == tuple(pixel + 1.5 for pixel in gaze(5, 0)), "a pixel counted from 0"


def test_matlab_counts_pixels_from_1(tmp_path):
    found = open_set("findwho", gaze_sets.make_findwho(tmp_path)).fixations_at("001", 5)
    assert (found.x[0], found.y[0]) == tuple(pixel + 0.5 for pixel in gaze(5, 0))
