from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.cli.main import main
from gasp.datasets.grouped import GroupedFrames, picture_name
from gasp.datasets.store import PackedStore, PackSettings, pack
from gasp.errors import InputError, OutputError
from helpers.grouped_frames import MAPS, level, make_grouped

VIDEO = ("diem", "talk_96x64")


@pytest.fixture
def frames(tmp_path):
    return make_grouped(tmp_path / "Grouped_frames")


def test_the_store_gives_what_the_folders_hold(frames, tmp_path):
    pack(frames, tmp_path / "store", PackSettings(fixations_above=None))
    store = PackedStore(tmp_path / "store")
    assert (store.maps, len(store)) == (MAPS, 1)
    read = store.window(*VIDEO, 3, 10)
    expected = GroupedFrames(frames).video(*VIDEO).window(3, 10, MAPS)
    assert read.maps.shape == (10, 15, 120, 120)
    assert read.targets.shape == (10, 2, 60, 60)
    for name in read._fields:
        np.testing.assert_array_equal(getattr(read, name), getattr(expected, name), err_msg=name)
    assert read.has_map[:9].all()
    assert not read.has_map[9:].any(), "frame 13 of 12"
    for index in range(1, 5):
        assert abs(int(read.maps[0, 3 * index].mean()) - level(4, index)) <= 2
    assert abs(int(read.maps[0, 0].mean()) - 200) <= 2, "red comes first"
    assert store.video(*VIDEO).channels["captured"] == 3
    assert store.video(*VIDEO).channels["det_transformed_dave"] == 1, "grey maps take a third of the space"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    frames = make_grouped(folder / "Grouped_frames", size=16)
    pack(frames, folder / "store", PackSettings(size=(16, 16), target_size=(16, 16)))
    return PackedStore(folder / "store")


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(0, 20),
    length=st.integers(1, 15),
    maps=st.lists(st.sampled_from(MAPS), max_size=5),
)
def test_any_window_is_a_part_of_the_whole(packed, start, length, maps):
    whole = packed.window(*VIDEO, 0, 40)
    window = packed.window(*VIDEO, start, length, maps=maps)
    channels = [3 * MAPS.index(name) + channel for name in maps for channel in range(3)]
    np.testing.assert_array_equal(window.maps, whole.maps[start : start + length, channels])
    np.testing.assert_array_equal(window.targets, whole.targets[start : start + length])
    assert (window.has_map == (np.arange(start, start + length) < 12)[:, None]).all()


def test_points_stay_points(frames, tmp_path):
    pack(frames, tmp_path / "store")
    points = PackedStore(tmp_path / "store").window(*VIDEO, 0, 1).targets[0, 1] > 0
    assert points.sum() <= 25, "no haze of JPEG around the dot"
    assert points[round(21.5 * 60 / 64), round(41.5 * 60 / 64)]


def test_maps_can_be_chosen(frames, tmp_path):
    pack(frames, tmp_path / "store")
    store = PackedStore(tmp_path / "store")
    window = store.window(*VIDEO, 0, 2, maps=["det_transformed_gaze360", "captured"], targets=[])
    assert (window.maps.shape[1], window.targets.shape[1]) == (6, 0)
    assert abs(int(window.maps[0, 0].mean()) - level(1, 4)) <= 2
    with pytest.raises(InputError, match="did you mean 'det_transformed_dave'"):
        store.window(*VIDEO, 0, 2, maps=["det_transformed_davee"])
    with pytest.raises(InputError, match="did you mean"):
        store.window("diem", "talk_96x65", 0, 2)


def test_missing_maps_are_marked(frames, tmp_path):
    (frames / "diem" / "talk_96x64" / "5" / "det_transformed_esr9_1.jpg").unlink()
    (frames / "diem" / "talk_96x64" / "6" / "det_transformed_dave_1.jpg").write_bytes(b"\xff\xd8\xff broken")
    summary = pack(frames, tmp_path / "store")
    assert summary.damaged == {"diem/talk_96x64": 1}
    window = PackedStore(tmp_path / "store").window(*VIDEO, 4, 2)
    assert window.has_map.tolist() == [[True, True, False, True, True], [True, False, True, True, True]]
    assert not window.maps[0, 6:9].any()


def test_every_map_that_any_frame_has_is_packed(frames, tmp_path):
    make_grouped(frames, video="whole", frames=4)
    dave = (frames / "diem" / "whole" / "2" / "det_transformed_dave_1.jpg").read_bytes()
    for name in ("speaking", "glance", "unisal"):
        (frames / "diem" / "whole" / "2" / f"det_transformed_{name}_1.jpg").write_bytes(dave)
    pack(frames, tmp_path / "store")
    more = ("det_transformed_glance", "det_transformed_speaking", "det_transformed_unisal")
    assert PackedStore(tmp_path / "store").maps == (*MAPS, *more)


@pytest.mark.parametrize("harm", ["gap", "no picture", "empty picture"])
def test_half_written_folders_are_left_out(harm, frames, tmp_path):
    make_grouped(frames, video="whole", frames=2)
    place = frames / "diem" / "talk_96x64"
    if harm == "gap":
        shutil.rmtree(place / "7")
    elif harm == "no picture":
        (place / "12" / "captured_1.jpg").unlink()
    else:
        (place / "12" / "captured_1.jpg").write_bytes(b"")
    summary = pack(frames, tmp_path / "store")
    assert summary.packed == ["diem/whole"]
    assert "half-written" in summary.refused["diem/talk_96x64"]
    assert list(PackedStore(tmp_path / "store").videos) == [("diem", "whole")]
    assert main(["pack", str(frames), "-o", str(tmp_path / "store"), "-q"]) == 1


def test_a_second_call_packs_what_changed(frames, tmp_path):
    make_grouped(frames, video="other", frames=2)
    assert len(pack(frames, tmp_path / "store").packed) == 2
    assert pack(frames, tmp_path / "store").packed == []
    shutil.copy(frames / "diem/other/1/captured_1.jpg", frames / "diem/other/1/det_transformed_dave_1.jpg")
    again = pack(frames, tmp_path / "store")
    assert (again.packed, again.unchanged) == (["diem/other"], ["diem/talk_96x64"])
    with pytest.raises(OutputError, match="other options"):
        pack(frames, tmp_path / "store", PackSettings(size=(60, 60)))
    pack(frames, tmp_path / "store", PackSettings(size=(60, 60)), overwrite=True)
    assert PackedStore(tmp_path / "store").window(*VIDEO, 0, 1).maps.shape == (1, 15, 60, 60)


def test_a_run_stopped_just_before_its_end_leaves_nothing_behind(frames, tmp_path, monkeypatch):
    pack(frames, tmp_path / "whole", SMALL)
    with monkeypatch.context() as context:
        context.setattr("gasp.datasets.store.drop_description", stop_here)
        with pytest.raises(KeyboardInterrupt):
            pack(frames, tmp_path / "store", SMALL)
    assert list((tmp_path / "store").rglob("piece.json"))
    pack(frames, tmp_path / "store", SMALL)
    names = [sorted(path.name for path in (tmp_path / name).rglob("*")) for name in ("store", "whole")]
    assert names[0] == names[1]


def stop_here(*_):
    raise KeyboardInterrupt


def test_an_interrupted_run_leaves_a_store_that_can_be_relied_on(frames, tmp_path):
    make_grouped(frames, video="a", frames=2)

    def stop(event):
        if event.task == "diem/talk_96x64" and event.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(frames, tmp_path / "store", report=stop)
    store = PackedStore(tmp_path / "store")
    assert list(store.videos) == [("diem", "a")]
    assert store.verify() == []
    summary = pack(frames, tmp_path / "store")
    assert (summary.packed, summary.unchanged) == (["diem/talk_96x64"], ["diem/a"])
    assert not (tmp_path / "store" / ".partial" / "diem" / "talk_96x64").exists()


def test_changed_files_are_noticed(frames, tmp_path):
    pack(frames, tmp_path / "store")
    store = PackedStore(tmp_path / "store")
    assert store.verify() == []
    path = tmp_path / "store" / "diem" / "talk_96x64" / "captured.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "captured.npy" in store.verify()[0]
    path.write_bytes(data[:300])
    with pytest.raises(InputError, match=r"captured\.npy"):
        PackedStore(tmp_path / "store").window(*VIDEO, 0, 1)
    assert main(["pack", "--verify", str(tmp_path / "store"), "-q"]) == 1


def test_a_damaged_index_is_refused(frames, tmp_path):
    with pytest.raises(InputError, match="no store"):
        PackedStore(tmp_path)
    pack(frames, tmp_path / "store")
    index = tmp_path / "store" / "index.json"
    content = json.loads(index.read_text())
    for text in ("", "{", json.dumps(content | {"format": "x"}), json.dumps(content | {"videos": [1]})):
        index.write_text(text)
        with pytest.raises(InputError, match=r"index\.json"):
            PackedStore(tmp_path / "store")


def test_there_and_back(frames, tmp_path):
    pack(frames, tmp_path / "store")
    store = PackedStore(tmp_path / "store")
    store.unpack(tmp_path / "back")
    back = GroupedFrames(tmp_path / "back").video(*VIDEO)
    assert (back.frames, back.problem()) == (12, None)
    ours, theirs = store.window(*VIDEO, 0, 12), back.window(0, 12, MAPS)
    assert np.abs(ours.maps.astype(int) - theirs.maps).max() <= 3
    with pytest.raises(OutputError, match="already"):
        store.unpack(tmp_path / "back")


def test_a_store_goes_to_other_processes(frames, tmp_path):
    pack(frames, tmp_path / "store")
    store = PackedStore(tmp_path / "store")
    expected = store.window(*VIDEO, 0, 3).maps
    copied = pickle.dumps(store)
    assert len(copied) < 10000
    np.testing.assert_array_equal(pickle.loads(copied).window(*VIDEO, 0, 3).maps, expected)


def test_the_command(frames, tmp_path, capsys):
    store = str(tmp_path / "store")
    assert (
        main(["pack", str(frames), "-o", store, "--maps", "captured", "--size", "40x20", "--json", "-q"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["packed"] == ["diem/talk_96x64"]
    assert PackedStore(store).window(*VIDEO, 0, 1).maps.shape == (1, 3, 20, 40)
    assert main(["pack", "--unpack", store, "-o", str(tmp_path / "back"), "-q"]) == 0
    assert main(["pack", str(frames), "-o", store, "--size", "big", "-q"]) == 2
    assert main(["pack", str(frames), "-q"]) == 2
    assert main(["pack", str(frames), "-o", store, "--split", "test_ave", "-q"]) == 1
    assert "has no video" in capsys.readouterr().err


def test_names_on_disk():
    names = [picture_name(name) for name in ("captured", "dave", "esr9", "videogaze", "gaze360")]
    assert tuple(names) == MAPS


SMALL = PackSettings(size=(16, 16), target_size=(16, 16))


@pytest.mark.parametrize("value", ["../../vict", "..", "/tmp/vict", "a/../../../vict", ".", ""])
@pytest.mark.parametrize("field", ["video", "dataset"])
def test_an_index_that_leads_out_of_the_store_deletes_and_writes_nothing(field, value, tmp_path):
    frames = make_grouped(tmp_path / "Grouped_frames", size=16)
    store, victim = tmp_path / "deep" / "store", tmp_path / "vict"
    pack(frames, store, SMALL)
    for folder in (victim, store / "diem"):
        folder.mkdir(exist_ok=True)
        (folder / "precious.txt").write_text("mine")
    content = json.loads((store / "index.json").read_text())
    content["videos"][0][field] = value.replace("/tmp/vict", str(victim))
    (store / "index.json").write_text(json.dumps(content))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"index\.json is damaged"):
        pack(frames, store, SMALL, overwrite=True)
    with pytest.raises(InputError, match=r"index\.json is damaged"):
        PackedStore(store).unpack(tmp_path / "unpacked")
    assert [path for path in before if not path.exists()] == []
    assert set(tmp_path.rglob("*")) - set(before) <= {store / ".partial", store / ".partial" / "lock"}


@pytest.mark.parametrize("name", ["../present", "/etc/passwd", "a\0b", 5, None, "x" * 5000])
def test_names_of_maps_in_an_index_are_checked(name, tmp_path):
    frames = make_grouped(tmp_path / "Grouped_frames", size=16)
    pack(frames, tmp_path / "store", SMALL)
    index = tmp_path / "store" / "index.json"
    content = json.loads(index.read_text())
    content["options"]["maps"][0] = name
    index.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"index\.json is damaged"):
        PackedStore(tmp_path / "store")


@pytest.mark.parametrize(
    "text", ["5", "null", "[" * 100_000, '{"format": 5}', "\xff\xfe", "", '{"videos": 3}']
)
def test_an_index_of_another_kind_is_named(text, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "index.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"index\.json"):
        PackedStore(tmp_path / "store")


def test_overwriting_leaves_what_is_not_ours(tmp_path):
    frames = make_grouped(tmp_path / "Grouped_frames", size=16)
    store = tmp_path / "store"
    pack(frames, store, SMALL)
    mine = store.joinpath(*VIDEO, "notes.txt")
    mine.write_text("mine")
    other = PackSettings(size=(8, 8), target_size=(8, 8))
    with pytest.raises(OutputError, match="did not write"):
        pack(frames, store, other, overwrite=True)
    assert mine.read_text() == "mine"
    mine.rename(tmp_path / "notes.txt")
    pack(frames, store, other, overwrite=True)
    assert PackedStore(store).window(*VIDEO, 0, 1).maps.shape[-1] == 8


def test_two_runs_do_not_pack_into_one_store(tmp_path):
    from filelock import FileLock

    frames = make_grouped(tmp_path / "Grouped_frames", size=16)
    work = tmp_path / "store" / ".partial"
    work.mkdir(parents=True)
    with FileLock(str(work / "lock")), pytest.raises(OutputError, match="another run"):
        pack(frames, tmp_path / "store", SMALL)


@pytest.mark.parametrize("step", ["_Packing._put_in_place", "drop_description"])
def test_a_packed_video_that_was_not_yet_named_is_taken_up(step, tmp_path, monkeypatch):
    frames = make_grouped(tmp_path / "Grouped_frames", size=16)
    whole, store = tmp_path / "whole", tmp_path / "store"
    pack(frames, whole, SMALL)

    def stop(*_args, **_words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"gasp.datasets.store.{step}", stop)
        if step == "drop_description":
            patched.setattr("gasp.datasets.store.write_index", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            pack(frames, store, SMALL)
    if step == "drop_description":  # the index was not written: it names nothing yet
        content = json.loads((whole / "index.json").read_text())
        (store / "index.json").write_text(json.dumps({**content, "videos": []}))
    with monkeypatch.context() as patched:
        patched.setattr("gasp.datasets.store._pack_video", stop)
        assert pack(frames, store, SMALL).packed == ["diem/talk_96x64"]
    files = {path.relative_to(store): path.read_bytes() for path in store.rglob("*") if path.is_file()}
    assert files == {
        path.relative_to(whole): path.read_bytes() for path in whole.rglob("*") if path.is_file()
    }
