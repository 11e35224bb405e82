from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gasp.config.experiments import Experiment
from gasp.datasets.store import PackSettings, pack
from gasp.training.clips import Clips, collate, fill_maps, placeholder
from gasp.training.sampler import ClipSampler
from gasp.training.sources import ClipSource, open_source
from helpers.grouped_frames import MAPS, level, make_grouped

FRAMES = 12
SIZES = {"size": (40, 48), "target_size": (20, 24)}
TALK = ("diem", "talk_96x64")
NETWORKS = {True: "SequenceGASPDAMEncALSTMGMUConv", False: "GASPDAMEncGMUConv"}


def experiment(*, context: int = 4, seed: int = 0, **clips: object) -> Experiment:
    values = {
        "network": NETWORKS[context > 1],
        "options": {"sequence_len": context} if context > 1 else {},
        "clips": SIZES | clips,
        "trainer": {"seed": seed},
    }
    return Experiment.read(values)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grouped")
    for dataset, video in (TALK, ("coutrot1", "clip_1"), ("coutrot1", "clip_2"), ("coutrot1", "clip_3")):
        make_grouped(folder, dataset, video, FRAMES, size=64)
    return folder


@pytest.fixture(scope="module")
def source(frames: Path) -> ClipSource:
    return open_source(frames, **SIZES)


def without(frames: Path, folder: Path, *missing: tuple[int, str]) -> ClipSource:
    """A copy of the frames of TALK that lacks pictures, (frame, name)."""
    shutil.copytree(frames / "/".join(TALK), folder / "/".join(TALK))
    for frame, name in missing:
        (folder / "/".join(TALK) / str(frame) / f"{name}_1.jpg").unlink()
    return open_source(folder, **SIZES)


def brightness(maps: np.ndarray, modality: int) -> list[int]:
    """Of each frame, at the middle of the second channel."""
    return [int(frame[3 * modality + 1, 20, 24]) for frame in maps]


def test_a_clip_is_what_the_pictures_are(source: ClipSource) -> None:
    clips = Clips(source, [TALK], experiment(choice="walk"))
    clip = clips[1, 0]
    assert clip.maps.shape == (4, 15, 40, 48)
    assert clip.maps.dtype == np.uint8
    for modality in range(5):
        shown = brightness(clip.maps, modality)
        assert shown == pytest.approx([level(frame, modality) for frame in (5, 6, 7, 8)], abs=2)
    assert clip.name == "diem/talk_96x64, frames 5 to 8"
    with Image.open(source.folder / "diem" / "talk_96x64" / "8" / "transformed_salmap_1.jpg") as picture:
        expected = np.asarray(picture.convert("L").resize((24, 20), Image.Resampling.BILINEAR))
    assert np.array_equal(clip.density[0], expected)
    assert clip.frame_density is not None
    assert np.array_equal(clip.frame_density[-1, 0], expected)


def test_the_store_gives_the_same_clips(frames: Path, source: ClipSource, tmp_path: Path) -> None:
    pack(frames, tmp_path / "store", PackSettings(MAPS, **SIZES, fixations_above=None))
    stored = open_source(tmp_path / "store", **SIZES)
    for index in range(3):
        ours = Clips(stored, stored.videos, experiment())[0, index]
        theirs = Clips(source, stored.videos, experiment())[0, index]
        assert ours.name == theirs.name
        # Decoding is the same, so all pictures are.
        for mine, other in zip(ours[:4], theirs[:4], strict=True):
            assert np.array_equal(mine, other)


def test_peeks_begin_anywhere_up_to_the_last_frame(source: ClipSource) -> None:
    clips = Clips(source, [TALK], experiment())
    starts = Counter(clips.start(epoch, 0)[1] for epoch in range(2400))
    assert sorted(starts) == list(range(FRAMES))
    # 200 of each are expected; 5 standard deviations are 68.
    assert all(130 < count < 270 for count in starts.values())


def test_a_draw_depends_on_seed_epoch_and_index_alone(source: ClipSource) -> None:
    one, again, other = (Clips(source, source.videos, experiment(seed=seed)) for seed in (3, 3, 4))
    places = [(epoch, index) for epoch in range(20) for index in range(4)]
    starts = {place: one.start(*place) for place in places}
    assert {place: again.start(*place) for place in reversed(places)} == starts
    assert {place: other.start(*place) for place in places} != starts
    assert [one.start(0, index)[1] for index in range(4, 40)] != [
        one.start(0, index)[1] for index in range(36)
    ]
    validation = Clips(source, source.videos, experiment(seed=3), "validation")
    assert {place: validation.start(*place) for place in places} != starts


def test_peeks_make_an_epoch_longer(source: ClipSource) -> None:
    clips = Clips(source, source.videos, experiment(peeks=5))
    assert len(clips) == 20
    assert Counter(clips.start(0, index)[0] for index in range(20)) == dict.fromkeys(source.videos, 5)


def test_a_walk_begins_again_where_the_next_clip_would_reach_the_end(source: ClipSource) -> None:
    def walked(context: int) -> list[int]:
        clips = Clips(source, [TALK], experiment(context=context, choice="walk"))
        return [clips.start(epoch, 0)[1] + 1 for epoch in range(5)]

    assert walked(4) == [1, 5, 9, 1, 5]
    # The start at frame 12 of 12 is not taken.
    assert walked(11) == [1, 1, 1, 1, 1]
    assert walked(10) == [1, 11, 1, 11, 1]


def test_all_clips_of_whole_videos(source: ClipSource) -> None:
    clips = Clips(source, source.videos, experiment(validation_choice="all"), "validation")
    assert [clips.start(7, index) for index in range(len(clips))] == [
        (video, start) for video in source.videos for start in (0, 4, 8)
    ]


def test_a_missing_map_is_the_last_one_of_its_modality(frames: Path, tmp_path: Path) -> None:
    gaps = [(frame, "det_transformed_dave") for frame in (1, 2, 4)]
    holed = without(frames, tmp_path, *gaps)
    clip = Clips(holed, [TALK], experiment(choice="walk"))[0, 0]
    third = level(3, 1)
    assert brightness(clip.maps, 1) == pytest.approx([0, 0, third, third], abs=2)
    assert np.array_equal(clip.maps[0, 3:6], placeholder((40, 48), 3))
    assert brightness(clip.maps, 0) == pytest.approx([level(frame, 0) for frame in (1, 2, 3, 4)], abs=2)
    black = Clips(holed, [TALK], experiment(choice="walk", missing="black"))[0, 0]
    assert brightness(black.maps, 1) == pytest.approx([0, 0, third, 0], abs=2)
    assert not black.maps[0, 3:6].any()


def test_behind_the_last_frame_it_is_repeated(source: ClipSource) -> None:
    clip = Clips(source, [TALK], experiment(context=10, choice="walk"))[1, 0]
    assert clip.name.endswith("frames 11 to 20")
    shown = brightness(clip.maps, 2)
    assert shown == pytest.approx([level(11, 2)] + [level(12, 2)] * 9, abs=2)


def test_the_target_is_that_of_the_last_frame_that_has_it(frames: Path, tmp_path: Path) -> None:
    missing = [(frame, "transformed_salmap") for frame in (3, 4)]
    missing += [(frame, "transformed_fixmap") for frame in (1, 2, 3, 4)]
    clip = Clips(without(frames, tmp_path, *missing), [TALK], experiment(choice="walk"))[0, 0]
    assert clip.density.max() > 200
    # No frame has fixations.
    assert np.array_equal(clip.fixations, placeholder((20, 24), 1))
    assert clip.frame_density is not None
    # Frames are not repeated here.
    assert [frame.max() > 200 for frame in clip.frame_density] == [True, True, False, False]
    assert np.array_equal(clip.frame_density[2], placeholder((20, 24), 1))


def test_the_placeholder_of_2021() -> None:
    small = Image.new("RGB", (10, 10))
    small.putpixel((0, 0), (1, 1, 1))
    expected = np.asarray(small.resize((120, 120), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(placeholder((120, 120), 3), expected)
    assert placeholder((60, 60), 1).max() == 1


def test_nothing_is_filled_in_where_nothing_is_missing(source: ClipSource) -> None:
    window = source.window(TALK, 2, 4, MAPS, ())
    before = window.maps.copy()
    fill_maps(window)
    assert np.array_equal(window.maps, before)


def test_batches(source: ClipSource) -> None:
    clips = Clips(source, source.videos, experiment())
    batch = collate([clips[0, index] for index in range(3)])
    assert tuple(batch.maps.shape) == (3, 4, 15, 40, 48)
    assert tuple(batch.density.shape) == tuple(batch.fixations.shape) == (3, 1, 20, 24)
    assert batch.frame_density is not None
    assert tuple(batch.frame_density.shape) == (3, 4, 1, 20, 24)
    assert (float(batch.density.min()), float(batch.density.max())) == (0.0, pytest.approx(1, abs=0.02))
    static = Clips(source, source.videos, experiment(context=1))
    batch = collate([static[0, 0]])
    assert tuple(batch.maps.shape) == (1, 1, 15, 40, 48)
    assert batch.frame_density is None
    assert batch.names[0].rpartition(", ")[2].startswith("frame ")


# --- order -----------------------------------------------------------------------------------------------


def test_processes_share_out_the_batches_of_one(source: ClipSource) -> None:
    clips = Clips(source, source.videos, experiment(peeks=6))
    one = list(ClipSampler(clips))
    ranks = [list(ClipSampler(clips, rank=rank, world=2)) for rank in range(2)]
    for batch in range(6):
        whole = one[4 * batch : 4 * batch + 4]
        parts = [rank[2 * batch : 2 * batch + 2] for rank in ranks]
        assert sorted(whole) == sorted(parts[0] + parts[1])


@pytest.mark.parametrize("world", [3, 7, 9])
def test_uneven_shares_are_filled_up(source: ClipSource, world: int) -> None:
    clips = Clips(source, source.videos, experiment())
    shares = [list(ClipSampler(clips, rank=rank, world=world)) for rank in range(world)]
    assert {len(share) for share in shares} == {-(-4 // world)}
    assert {index for share in shares for _, index in share} == set(range(4))


def test_every_epoch_has_an_order_of_its_own(source: ClipSource) -> None:
    sampler = ClipSampler(Clips(source, source.videos, experiment(peeks=6)))
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        picked = list(sampler)
        assert {picked_epoch for picked_epoch, _ in picked} == {epoch}
        orders.append([index for _, index in picked])
    assert orders[0] == orders[2] != orders[1]
    assert all(sorted(order) == list(range(24)) for order in orders)


def test_datasets_are_drawn_alike(source: ClipSource) -> None:
    clips = Clips(source, source.videos, experiment(peeks=250))
    picked = list(ClipSampler(clips, balance=True))
    drawn = Counter(clips.start(*place)[0][0] for place in picked)
    # One of four videos is from DIEM. 500 of 1000 are expected; 5 standard deviations are 79.
    assert 420 < drawn["diem"] < 580
    # What is drawn again is another draw.
    assert len(set(picked)) == len(picked)
