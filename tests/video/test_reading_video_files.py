from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from gasp.errors import InputError, UsageError
from gasp.video import open_source
from helpers.videos import (
    clicks,
    cut_short,
    damage,
    moving_square,
    set_display_matrix,
    write_sound,
    write_video,
)

CONTAINERS = [
    ("clip.mp4", "libx264", "yuv420p", 6),
    ("clip.mov", "libx264", "yuv420p", 6),
    ("clip.mkv", "libx264", "yuv420p", 6),
    ("clip.webm", "libvpx-vp9", "yuv420p", 12),
    ("clip.avi", "mpeg4", "yuv420p", 12),
    ("clip.avi", "mjpeg", "yuvj420p", 12),
    ("clip.gif", "gif", "rgb8", 30),
    ("clip.ts", "libx264", "yuv420p", 6),
]


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).mean())


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "tolerance"), CONTAINERS)
def test_containers_give_every_picture_at_its_time(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, tolerance: float
) -> None:
    pictures = moving_square(12)
    source_format = "rgb24"
    if codec == "gif":
        source_format, pictures_in = "rgb8", np.stack([rgb8(p) for p in pictures])
    else:
        pictures_in = pictures
    path = write_video(
        tmp_path / name, pictures_in, codec=codec, pix_fmt=pix_fmt, source_format=source_format
    )
    with open_source(path) as source:
        frames = list(source)
        assert (source.name, source.path) == ("clip", path)
        assert (source.width, source.height) == (64, 48)
        assert source.fps == pytest.approx(25, abs=0.3)
        assert not source.has_sound
        assert source.skipped == 0
    assert [frame.index for frame in frames] == list(range(12))
    assert source.start_time == frames[0].time
    assert np.diff([frame.time for frame in frames]) == pytest.approx(0.04, abs=0.002)
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert distance(frame.image, picture) < tolerance


def rgb8(picture: np.ndarray) -> np.ndarray:
    """3 bits of red, 3 of green, 2 of blue in one byte."""
    red, green, blue = (picture[..., c].astype(int) for c in range(3))
    return ((red >> 5 << 5) | (green >> 5 << 2) | (blue >> 6)).astype(np.uint8)


def test_a_file_can_be_iterated_again_and_by_two_at_once(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "clip.mp4", moving_square(8)))
    for first, second in zip(source, source, strict=True):
        np.testing.assert_array_equal(first.image, second.image)
    assert len(list(source)) == 8


def test_counts_and_duration_are_the_headers(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "clip.mp4", moving_square(30)))
    assert source.frame_count == 30
    assert source.duration == pytest.approx(1.2)
    estimated = open_source(write_video(tmp_path / "clip.mkv", moving_square(30)))
    assert estimated.frame_count == pytest.approx(30, abs=1)


def test_variable_rate_keeps_the_true_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.2, 0.21, 0.5, 1.5]
    for name in ("clip.mp4", "clip.mkv"):
        source = open_source(write_video(tmp_path / name, moving_square(6), times=times))
        assert [frame.time for frame in source] == pytest.approx(times, abs=0.001)


def test_a_late_first_picture_is_on_the_containers_clock(tmp_path: Path) -> None:
    times = [1.08 + index / 25 for index in range(5)]
    sound = clicks(48000, 1.5, [0.5])
    source = open_source(write_video(tmp_path / "clip.mp4", moving_square(5), times=times, sound=sound))
    assert source.start_time == pytest.approx(1.08, abs=0.001)
    assert [frame.time for frame in source] == pytest.approx(times, abs=0.001)


def test_a_broadcast_clock_starts_near_zero(tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    write_video(path, moving_square(5), times=[1000 + index / 25 for index in range(5)])
    source = open_source(path)
    assert [frame.time for frame in source] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16], abs=0.001)


# The stored point (x, y) is shown at (a x + c y, b x + d y); a quarter turn clockwise is (0, 1, -1, 0).
@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    ],
)
def test_pictures_are_upright(tmp_path: Path, matrix: tuple[int, int, int, int], expected: object) -> None:
    pictures = moving_square(3, 64, 48)
    path = write_video(tmp_path / "clip.mp4", pictures)
    stored = next(iter(open_source(path))).image
    set_display_matrix(path, matrix)
    source = open_source(path)
    shown = next(iter(source)).image
    assert (source.height, source.width) == shown.shape[:2]
    np.testing.assert_array_equal(shown, expected(stored))  # type: ignore[operator]
    assert shown.flags.c_contiguous


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "width", "height"),
    [
        ("libx264", "yuv444p", 33, 17),
        ("libx264", "yuv420p10le", 64, 48),
        ("ffv1", "gray", 64, 48),
        ("ffv1", "gray16le", 33, 17),
        ("ffv1", "rgb48le", 33, 17),
        ("ffv1", "yuv420p", 1, 1),
        ("png", "rgb24", 31, 7),
        ("rawvideo", "bgr24", 33, 17),
    ],
)
def test_pixel_formats_and_odd_sizes(
    tmp_path: Path, codec: str, pix_fmt: str, width: int, height: int
) -> None:
    pictures = moving_square(3, width, height)
    name = {"png": "clip.mov", "rawvideo": "clip.avi"}.get(codec, "clip.mkv")
    if pix_fmt.startswith("gray"):
        pictures = np.repeat(pictures.mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    source = open_source(write_video(tmp_path / name, pictures, codec=codec, pix_fmt=pix_fmt))
    frames = list(source)
    assert (source.width, source.height) == (width, height)
    assert len(frames) == 3
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.image.shape == (height, width, 3)
        assert distance(frame.image, picture) < 6


def test_transparent_pictures_lie_over_black(tmp_path: Path) -> None:
    pictures = np.zeros((2, 8, 16, 4), np.uint8)
    pictures[..., :3] = (200, 100, 50)
    pictures[:, :, 8:, 3] = 255
    path = write_video(tmp_path / "clip.mov", pictures, codec="png", pix_fmt="rgba", source_format="rgba")
    image = next(iter(open_source(path))).image
    assert image[:, :8].max() == 0
    np.testing.assert_array_equal(image[4, 12], (200, 100, 50))


def test_pictures_handed_out_are_independent(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mov", moving_square(3), codec="png", pix_fmt="rgb24")
    source = open_source(path)
    for frame in source:
        frame.image[:] = 0
    assert next(iter(source)).image.max() > 0


def test_a_change_of_size_is_scaled_to_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = write_video(tmp_path / "a.ts", moving_square(5, 64, 48))
    second = write_video(
        tmp_path / "b.ts", moving_square(5, 96, 64), times=[0.2 + index / 25 for index in range(5)]
    )
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    source = open_source(path)
    with caplog.at_level(logging.WARNING):
        frames = list(source)
    assert len(frames) == 10
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert distance(frames[9].image, frames[4].image) < 40
    assert caplog.text.count("scaled to 64 x 48") == 1
    assert "scaled to 64 x 48: 5." in caplog.text


def test_a_cover_picture_is_not_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as output:
        cover = output.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 320, 240, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        video = output.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        picture = av.VideoFrame.from_ndarray(moving_square(1, 320, 240)[0], format="rgb24")
        output.mux(cover.encode(picture))
        for image in moving_square(4):
            output.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(video.encode(None))
    source = open_source(path)
    assert (source.width, source.height) == (64, 48)
    assert len(list(source)) == 4


def test_damage_in_the_middle_costs_only_what_it_touched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Every picture is a packet of its own here, so that damage can be counted.
    path = write_video(tmp_path / "clip.mov", moving_square(40), codec="png", pix_fmt="rgb24")
    size = path.stat().st_size
    damage(path, 0.5, size // 20)
    source = open_source(path)
    with caplog.at_level(logging.WARNING):
        frames = list(source)
    assert 30 <= len(frames) < 40
    assert source.skipped >= 1
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert frames[-1].time == pytest.approx(39 / 25, abs=0.01)
    assert caplog.text.count("damaged") == 1
    assert f"damaged pictures or packets: {source.skipped}." in caplog.text


@pytest.mark.parametrize(("name", "least"), [("clip.mp4", 85), ("clip.mkv", 45), ("clip.ts", 85)])
def test_noise_in_compressed_video_costs_little(tmp_path: Path, name: str, least: int) -> None:
    path = write_video(tmp_path / name, moving_square(100, 128, 96), options={"g": "10"})
    damage(path, 0.5, 400)
    frames = list(open_source(path))
    assert len(frames) >= least  # Matroska finds its way again only at its next cluster
    assert np.all(np.diff([frame.time for frame in frames]) > 0)


def test_a_file_cut_short_gives_what_is_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (50, 48, 64, 3), np.uint8)
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w", container_options={"movflags": "faststart"}) as output:
        video = output.add_stream("libx264", rate=25, options={"g": "10"})
        video.width, video.height = 64, 48
        for image in noise:
            output.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(video.encode(None))
    cut_short(path, 0.6)
    source = open_source(path)
    with caplog.at_level(logging.WARNING):
        frames = list(source)
    assert 20 < len(frames) < 40
    assert source.frame_count == 50
    assert source.skipped == 50 - len(frames)
    assert "cut short: it ends after" in caplog.text


@pytest.mark.parametrize(("name", "codec"), [("clip.mkv", "libx264"), ("clip.avi", "mjpeg")])
def test_formats_without_an_index_in_front_cut_short(
    name: str, codec: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kind = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(
        tmp_path / name, moving_square(100, 128, 96), codec=codec, pix_fmt=kind, options={"g": "10"}
    )
    whole = open_source(path)
    assert len(list(whole)) == 100
    assert whole.skipped == 0
    cut_short(path, 0.5)
    source = open_source(path)
    with caplog.at_level(logging.WARNING):
        found = len(list(source))
    assert 20 < found < 90
    assert source.skipped == pytest.approx(100 - found, abs=2)  # Matroska does not count pictures
    assert caplog.text.count("cut short") == 1


def test_pieces_that_a_broadcast_lost_are_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.ts", moving_square(100, 128, 96), options={"g": "10"})
    assert len(list(source := open_source(path))) == 100
    assert source.skipped == 0
    data = path.read_bytes()
    first = len(data) // 2 // 188 * 188
    path.write_bytes(data[:first] + data[first + 10 * 188 :])
    assert len(list(source := open_source(path))) >= 85
    assert source.skipped >= 1


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("clip.mp4", "libx264", {"g": "25", "bf": "3"}),
        ("clip.mkv", "libx264", {"g": "25", "bf": "2"}),
        ("clip.avi", "mpeg4", {}),
        ("clip.ts", "libx264", {"g": "30"}),
        ("clip.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "10", "cpu-used": "8"}),
    ],
)
def test_starting_later_gives_the_same_pictures(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = write_video(tmp_path / name, moving_square(120), codec=codec, options=options)
    source = open_source(path)
    everything = list(source)
    for start, every in [(0, 7), (60, 1), (99, 3), (119, 1), (500, 1)]:
        expected = everything[start::every]
        found = list(source.frames(start, every))
        assert [(frame.index, frame.time) for frame in found] == [(f.index, f.time) for f in expected]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.image, other.image)


def test_wrong_starts_are_refused(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "clip.mp4", moving_square(2)))
    with pytest.raises(UsageError):
        source.frames(-1)
    with pytest.raises(UsageError):
        source.frames(0, 0)


class TestErrors:
    def check(self, path: Path, message: str) -> None:
        with pytest.raises(InputError, match=message) as caught:
            open_source(path)
        assert str(path.name) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        self.check(tmp_path / "none.mp4", "does not exist")

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "clip.mp4").touch()
        self.check(tmp_path / "clip.mp4", "is empty")

    @pytest.mark.parametrize("name", ["clip.mp4", "clip.txt", "clip.avi", "clip", "clip.gif"])
    def test_text(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("this is not a video\n" * 100)
        self.check(tmp_path / name, "cannot be read as video")

    def test_noise(self, tmp_path: Path) -> None:
        (tmp_path / "clip.mkv").write_bytes(np.random.default_rng(1).bytes(20000))
        self.check(tmp_path / "clip.mkv", "cannot be read as video")

    def test_sound_only(self, tmp_path: Path) -> None:
        write_sound(tmp_path / "song.wav", clicks(16000, 1.0, [0.5]), 16000, "pcm_s16le")
        self.check(tmp_path / "song.wav", "holds no video, only audio")

    def test_no_index(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "clip.mp4", moving_square(50))
        cut_short(path, 0.5)
        self.check(path, "cut short")

    def test_no_picture(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mkv"
        with av.open(str(path), "w") as output:
            video = output.add_stream("libx264", rate=25)
            video.width, video.height = 64, 48
            output.start_encoding()
        self.check(path, "cannot be read as video|no picture")

    def test_folder_without_images(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("nothing to see")
        self.check(tmp_path, "holds no images")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
    def test_no_permission(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "clip.mp4", moving_square(2))
        path.chmod(0)
        self.check(path, "permission")

    def test_impossible_name(self) -> None:
        with pytest.raises(InputError):
            open_source("a\0b.mp4")
        with pytest.raises(InputError):
            open_source("x" * 5000)

    def test_impossible_rate(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="fps"):
            open_source(tmp_path, fps=0)


def test_a_file_that_vanishes_is_an_input_error(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    source = open_source(write_video(folder / "clip.mp4", moving_square(3)))
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="does not exist"):
        list(source)
