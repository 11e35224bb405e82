"""Frame folders in the layout of 2021 as a source."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gasp.errors import InputError
from gasp.video.grouped import GroupedSource, image_path, read_colours
from helpers.grouped_frames import level, make_grouped


@pytest.fixture
def folder(tmp_path):
    return make_grouped(tmp_path, frames=11) / "diem" / "talk_96x64"


def test_frames_come_in_the_order_of_their_numbers(folder):
    source = GroupedSource(folder, fps=12.5)
    assert (source.name, source.width, source.height, source.frame_count) == ("talk_96x64", 64, 64, 11)
    assert source.numbers == list(range(1, 12)), "10 comes after 9"
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(11))
    assert frames[3].time == pytest.approx(3 / 12.5)
    assert abs(float(frames[9].image[..., 1].mean()) - level(10, 0)) < 2
    np.testing.assert_array_equal(frames[9].image, read_colours(image_path(folder, 10, "captured")))
    assert [frame.index for frame in source.frames(4, 3)] == [4, 7, 10]
    assert source.sound_stream() is None


def test_what_cannot_be_read_is_black_and_counted(folder):
    image_path(folder, 1, "captured").write_bytes(b"\xff\xd8 damaged")
    image_path(folder, 3, "captured").unlink()
    source = GroupedSource(folder)
    assert (source.width, source.height) == (64, 64), "the first that can be read decides the size"
    frames = list(source)
    assert source.skipped == 2
    assert [bool(frame.image.any()) for frame in frames[:4]] == [False, True, False, True]
    assert {frame.image.shape for frame in frames} == {(64, 64, 3)}


def test_images_of_other_sizes_are_scaled(folder, caplog):
    Image.new("RGB", (32, 16), (9, 9, 9)).save(image_path(folder, 2, "captured"))
    assert {frame.image.shape for frame in GroupedSource(folder)} == {(64, 64, 3)}
    assert "scaled to 64 x 64: 1" in caplog.text


def test_a_video_of_black_frames_is_a_video(tmp_path):
    image_path(tmp_path, 1, "captured").parent.mkdir()
    (frame,) = GroupedSource(tmp_path)
    assert not frame.image.any()


def test_a_folder_without_frames_is_no_video(tmp_path):
    with pytest.raises(InputError, match="holds no frame"):
        GroupedSource(tmp_path)
