from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.errors import UsageError
from gasp.faces.face import Box
from gasp.fusion.contributions import Contributions
from gasp.pipeline.pipeline import explain_face
from gasp.pipeline.prediction import Prediction
from gasp.results.key_frames import KeyFrame, KeyFrameFinder, choose
from gasp.results.maps import check_format, gather_zarr, resize_map, write_map
from gasp.results.output_settings import OutputSettings
from gasp.results.records import FrameRecord, PersonRecord, as_density, entropy_of, mass_within, record_of
from gasp.results.summary import Summary
from gasp.results.tables import FramesTable, PeopleTable
from gasp.video.frames import Frame
from gasp.work.files import checksum
from helpers.predictions import predict_frame


def frame(index: int = 0, level: int = 90) -> Frame:
    return Frame(index, index / 25, np.full((64, 96, 3), level, np.uint8))


def person(track_id: int, box: tuple[float, float, float, float] = (0, 0, 10, 10)) -> PersonRecord:
    return PersonRecord(track_id, box, 0.9, 0.1, {})


def test_entropy() -> None:
    one = np.zeros((4, 8), np.float32)
    one[1, 2] = 1
    assert entropy_of(as_density(one)) == 0
    assert entropy_of(as_density(np.ones((4, 8), np.float32))) == pytest.approx(5)
    half = np.zeros((4, 8), np.float32)
    half[0, :2] = 0.5
    assert entropy_of(as_density(half)) == pytest.approx(1)


def test_a_constant_map_is_uniform() -> None:
    assert entropy_of(as_density(np.zeros((4, 8), np.float32))) == pytest.approx(5)


def test_mass_counts_cells_in_part() -> None:
    density = as_density(np.ones((10, 20), np.float32))
    assert mass_within(density, Box(0, 0, 50, 25), 50, 100) == pytest.approx(0.25)
    assert mass_within(density, Box(1, 1, 3.5, 3.5), 50, 100) == pytest.approx(2.5 * 2.5 / 5000)
    assert mass_within(density, Box(-50, -50, 500, 500), 50, 100) == pytest.approx(1)
    assert mass_within(density, Box(120, 0, 140, 10), 50, 100) == 0
    assert mass_within(density, Box(30, 30, 20, 20), 50, 100) == 0


@settings(deadline=None)
@given(x=st.integers(1, 99), y=st.integers(1, 49))
def test_mass_of_parts_adds_up(x: int, y: int) -> None:
    density = as_density(np.random.default_rng(0).random((7, 9), np.float32))
    boxes = (Box(0, 0, x, y), Box(x, 0, 100, y), Box(0, y, x, 50), Box(x, y, 100, 50))
    assert sum(mass_within(density, box, 50, 100) for box in boxes) == pytest.approx(1)


def test_record_survives_json() -> None:
    record = record_of(predict_frame(frame(7)))
    assert FrameRecord.from_json(record.to_json()) == record
    assert (record.frame, record.time) == (7, 0.28)
    assert record.people[1].found == {"speaking": 0.5}


def explained(index: int) -> Prediction:
    """With contributions of two cues that make the map out of an even one."""
    one = predict_frame(frame(index))
    density = as_density(one.saliency)
    baseline = np.full_like(one.saliency, 1 / one.saliency.size)
    maps = np.stack([0.75, 0.25]).astype(np.float32)[:, None, None] * (density - baseline).astype(np.float32)
    made = Contributions(("captured", "faces"), maps, baseline, "shapley")
    height, width = one.image.shape[:2]
    faces = [explain_face(face, made, height, width) for face in one.faces]
    return replace(one, contributions=made, faces=faces)


def test_what_cues_add_to_a_person_makes_the_share(tmp_path: Path) -> None:
    record = record_of(explained(7))
    assert FrameRecord.from_json(record.to_json()) == record
    assert record.why["captured"] == pytest.approx(3 * record.why["faces"], abs=1e-3)
    for one in record.people:
        assert one.baseline is not None
        assert sum(one.why.values()) / 100 == pytest.approx(one.attention - one.baseline, abs=1e-4)
    with (
        FramesTable(tmp_path / "frames.csv", record.why, record.gates) as frames,
        PeopleTable(tmp_path / "people.csv", ["speaking"], record.why) as people,
    ):
        frames.write(record)
        people.write(record)
    tables = [(tmp_path / name).read_text().splitlines() for name in ("frames.csv", "people.csv")]
    assert tables[0][0].endswith(",entropy,why_captured,why_faces,gate_captured,gate_faces,faces")
    assert tables[1][0].endswith(",attention,baseline,speaking,why_captured,why_faces")
    assert [len(line.split(",")) for table in tables for line in table] == [11] * 2 + [13] * 3


def test_people_have_columns_of_what_was_found(tmp_path: Path) -> None:
    found = {"gaze_yaw": -12.5, "arousal": 0.1, "own_measure": 3, "gaze_pitch": 4.0}
    record = FrameRecord(0, 0.0, 1, 1, 1, 1, {}, [PersonRecord(1, (1, 2, 3, 4), 0.9, 0.5, found), person(2)])
    with PeopleTable(tmp_path / "people.csv", found, []) as table:
        table.write(record)
    with (tmp_path / "people.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    expected = ["gaze_yaw", "gaze_pitch", "arousal", "own_measure"]
    assert rows[0][9:] == expected
    assert rows[1][9:] == ["-12.5", "4.0", "0.1", "3"]
    assert rows[2][9:] == [""] * 4


def test_summary_is_bounded_and_keeps_means() -> None:
    summary = Summary(most_points=10)
    for i in range(1000):
        people = [PersonRecord(1, (0, 0, 1, 1), 1, i / 1000, {"speaking": 0.5})] if i >= 500 else []
        summary.add(FrameRecord(i, i / 25, 10.0, 20.0, 1.0, 5.0, {}, people, {"faces": i / 1000}))
    assert len(summary.points) <= 10
    assert sum(point.frames for point in summary.points) == summary.frames == 1000
    assert [point.time for point in summary.points] == sorted(point.time for point in summary.points)
    assert summary.points[3].entropy / summary.points[3].frames == pytest.approx(5)
    assert summary.mean_why()["faces"] == pytest.approx(0.4995)
    assert (summary.people[1].frames, summary.people[1].first) == (500, 20.0)
    assert summary.people[1].attention == pytest.approx(sum(i / 1000 for i in range(500, 1000)))


def test_key_frames_at_the_beginning_at_cuts_and_at_new_foci() -> None:
    finder = KeyFrameFinder()
    keys = []
    for index in range(100):
        prediction = predict_frame(frame(index))
        prediction.image[:, 48 if index < 50 else 20 :] = 200 if index < 50 else 10
        prediction.image[:] = prediction.image * min(1, 0.3 + index / 30)  # a fade is no new scene
        prediction.saliency = np.zeros((12, 18), np.float32)
        prediction.saliency[4, 3 if index < 75 else 14] = 1
        if (key := finder.look(prediction)) is not None:
            keys.append(key.frame)
    assert keys == [0, 50, 75]


def test_a_finder_goes_on_from_a_signature() -> None:
    finder = KeyFrameFinder()
    finder.look(predict_frame(frame(0)))
    again = predict_frame(replace(frame(0), time=2.0))
    assert KeyFrameFinder(finder.latest).look(again) is None
    assert KeyFrameFinder().look(again) is not None


@settings(deadline=None)
@given(st.lists(st.floats(0, 2), min_size=1, max_size=60), st.integers(1, 12))
def test_chosen_key_frames(changes: list[float], most: int) -> None:
    keys = [KeyFrame(i * 10, i / 2, change) for i, change in enumerate(changes)]
    chosen = choose(keys, most)
    assert len(chosen) == min(most, len(keys))
    assert [key.frame for key in chosen] == sorted({key.frame for key in chosen})
    assert max(changes) in [key.change for key in chosen]


def test_maps_as_files(tmp_path: Path) -> None:
    saliency = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    write_map(tmp_path, 0, saliency, "npy")
    stored = np.load(tmp_path / "000001.npy")
    assert stored.dtype == np.float32
    assert np.array_equal(stored, saliency)
    for size in ((8, 6), (2, 2), (4, 3)):
        resized = resize_map(saliency, size)
        assert resized.shape == (size[1], size[0])
        assert 0 <= resized.min() <= resized.max() <= 1
    assert resize_map(saliency, None) is saliency


def test_maps_as_zarr(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    rng = np.random.default_rng(0)
    maps = rng.random((20, 3, 4), np.float32)
    for index, saliency in enumerate(maps):
        write_map(tmp_path, 2 * index, saliency, "zarr")
    gather_zarr(sorted(tmp_path.glob("*.npy")), tmp_path / "saliency.zarr")
    array = zarr.open_array(str(tmp_path / "saliency.zarr"), mode="r")
    assert np.array_equal(array[:], maps)
    assert array.attrs["frames"] == list(range(0, 40, 2))


def test_impossible_outputs() -> None:
    with pytest.raises(UsageError, match="png, npy, zarr"):
        OutputSettings(maps="jpg")
    with pytest.raises(UsageError, match="map_size"):
        OutputSettings(maps="png", map_size=(0, 10))


def test_zarr_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(UsageError, match=r"gasp-saliency\[zarr\]"):
        check_format("zarr")


def test_checksum_of_a_folder_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"a")
    first = checksum(tmp_path)
    (tmp_path / "2.png").write_bytes(b"a")
    second = checksum(tmp_path)
    (tmp_path / "2.png").write_bytes(b"b")
    assert len({first, second, checksum(tmp_path)}) == 3
