from __future__ import annotations

import itertools
import logging
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.errors import InputError, UsageError
from gasp.video import Frame, Sound, open_source
from helpers.videos import moving_square


def save(path: Path, rgb: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), rgb[..., ::-1] if rgb.ndim == 3 and rgb.shape[2] == 3 else rgb)
    return path


class TestOneImage:
    @pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "webp", "jpg"])
    def test_formats(self, tmp_path: Path, suffix: str) -> None:
        picture = moving_square(1, 33, 17)[0]
        source = open_source(save(tmp_path / f"still.{suffix}", picture))
        (frame,) = source
        assert (source.name, source.width, source.height, source.frame_count) == ("still", 33, 17, 1)
        assert (frame.index, frame.time) == (0, 0.0)
        assert not source.has_sound
        assert source.read_sound() is None
        tolerance = 12 if suffix in ("jpg", "webp") else 0
        assert np.abs(frame.image.astype(int) - picture).mean() <= tolerance
        assert frame.image.flags.c_contiguous

    @pytest.mark.parametrize("size", [(1, 1), (8000, 4000)])
    def test_extreme_sizes(self, tmp_path: Path, size: tuple[int, int]) -> None:
        width, height = size
        picture = np.full((height, width, 3), (10, 200, 60), np.uint8)
        (frame,) = open_source(save(tmp_path / "still.png", picture))
        assert frame.image.shape == (height, width, 3)
        np.testing.assert_array_equal(frame.image[-1, -1], (10, 200, 60))

    def test_grey_deep_and_transparent(self, tmp_path: Path) -> None:
        grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
        (frame,) = open_source(save(tmp_path / "grey.png", grey))
        np.testing.assert_array_equal(frame.image, np.repeat(grey[..., None], 3, -1))
        deep = grey.astype(np.uint16) * 257
        (frame,) = open_source(save(tmp_path / "deep.png", deep))
        np.testing.assert_array_equal(frame.image[..., 0], grey)
        rgba = np.zeros((4, 4, 4), np.uint8)
        rgba[..., 2] = 200  # red, in OpenCV's order
        rgba[:2, :, 3] = 255
        rgba[2, :, 3] = 128
        (frame,) = open_source(save(tmp_path / "alpha.png", rgba))
        np.testing.assert_array_equal(frame.image[:, 0, 0], [200, 200, 100, 0])

    def test_orientation(self, tmp_path: Path) -> None:
        picture = moving_square(1, 32, 16)[0]
        path = save(tmp_path / "still.jpg", picture)
        plain = next(iter(open_source(path))).image
        # EXIF: orientation 6, the camera was turned a quarter clockwise.
        tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
        exif = b"Exif\0\0" + tiff
        data = path.read_bytes()
        path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
        np.testing.assert_array_equal(next(iter(open_source(path))).image, np.rot90(plain, -1))

    def test_damaged(self, tmp_path: Path) -> None:
        path = save(tmp_path / "still.png", moving_square(1)[0])
        path.write_bytes(path.read_bytes()[:60])
        with pytest.raises(InputError, match="damaged"):
            open_source(path)


class TestFolder:
    def fill(self, folder: Path, names: list[str]) -> np.ndarray:
        pictures = moving_square(len(names))
        for name, picture in zip(names, pictures, strict=True):
            save(folder / name, picture)
        return pictures

    def test_natural_order_and_times(self, tmp_path: Path) -> None:
        names = ["frame2.png", "frame10.png", "frame1.png", "frame100.PNG"]
        pictures = self.fill(tmp_path, names)
        (tmp_path / "notes.txt").write_text("not an image")
        (tmp_path / ".hidden.png").write_text("not an image")
        source = open_source(str(tmp_path), fps=10)
        frames = list(source)
        assert (source.name, source.fps, source.frame_count) == (tmp_path.name, 10, 4)
        assert source.duration == pytest.approx(0.4)
        assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])
        for frame, original in zip(frames, (2, 0, 1, 3), strict=True):
            np.testing.assert_array_equal(frame.image, pictures[original])

    def test_start_and_every(self, tmp_path: Path) -> None:
        self.fill(tmp_path, [f"{number}.png" for number in range(1, 13)])
        source = open_source(tmp_path)
        assert [frame.index for frame in source.frames(2, 4)] == [2, 6, 10]
        assert list(source.frames(100)) == []

    def test_mixed_sizes_and_damage(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.fill(tmp_path, ["1.png", "2.png", "3.png", "4.png"])
        save(tmp_path / "2.png", moving_square(1, 128, 96)[0])
        (tmp_path / "3.png").write_bytes(b"no image")
        source = open_source(tmp_path)
        with caplog.at_level(logging.WARNING):
            frames = list(source)
        assert [frame.index for frame in frames] == [0, 1, 3]
        assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
        assert source.skipped == 1
        assert "other sizes scaled to" in caplog.text
        assert ": 1." in caplog.text

    def test_nothing_but_damage(self, tmp_path: Path) -> None:
        (tmp_path / "1.png").write_bytes(b"no image")
        with pytest.raises(InputError, match="None of the 1"):
            open_source(tmp_path)


class TestMemory:
    def test_kinds_of_pictures(self) -> None:
        video = moving_square(5)
        for given_pictures in (video, list(video), iter(video)):
            source = open_source(given_pictures, fps=10)
            frames = list(source)
            assert (source.path, source.width, source.height, source.fps) == (None, 64, 48, 10)
            assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
            np.testing.assert_array_equal([frame.image for frame in frames], video)

    def test_single_pictures(self) -> None:
        picture = moving_square(1)[0]
        for one in (picture, picture[..., 0], np.dstack([picture, np.full((48, 64), 255, np.uint8)])):
            (frame,) = open_source(one)
            assert frame.image.shape == (48, 64, 3)
        assert len(list(open_source(np.zeros((7, 48, 64), np.uint8)))) == 7  # grey video

    def test_frames_keep_index_and_time(self) -> None:
        frames = [Frame(5 + k, 2.0 + k / 50, picture) for k, picture in enumerate(moving_square(4))]
        source = open_source(frames)
        assert [(frame.index, frame.time) for frame in source] == [(f.index, f.time) for f in frames]
        assert source.fps == pytest.approx(50)
        assert source.start_time == 2.0

    def test_generators_are_lazy_and_single(self) -> None:
        taken = []

        def pictures():
            for number, picture in enumerate(moving_square(100)):
                taken.append(number)
                yield picture

        source = open_source(pictures())
        assert taken == [0]
        assert source.frame_count is None
        assert len(list(itertools.islice(source, 3))) == 3
        assert len(taken) <= 4
        with pytest.raises(InputError, match="only once"):
            list(source)

    def test_sizes_that_change(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            frames = list(open_source([*moving_square(2), *moving_square(3, 32, 24)]))
        assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
        assert "other sizes scaled to" in caplog.text
        assert ": 3." in caplog.text

    def test_sound(self) -> None:
        tone = np.sin(np.arange(48000) / 20)
        source = open_source(moving_square(25), sound=(tone, 48000))
        sound = source.read_sound()
        assert source.has_sound
        assert isinstance(sound, Sound)
        assert (sound.rate, len(sound.samples)) == (16000, 16000)
        part = source.read_sound(start=0.5, end=3.0)
        assert part is not None
        assert (part.start, len(part.samples)) == (0.5, 8000)
        stream = source.sound_stream()
        assert stream is not None
        np.testing.assert_array_equal(stream.until(0.25), sound.window(0, 0.25))
        with pytest.raises(UsageError, match="sound"):
            open_source("clip.mp4", sound=(tone, 48000))

    @pytest.mark.parametrize(
        "wrong",
        [
            [],
            iter([]),
            np.zeros((0, 4, 4, 3), np.uint8),
            np.zeros((4, 4, 3), np.float32),
            np.zeros((2, 4, 4, 5), np.uint8),
            np.zeros(4, np.uint8),
            [None],
            [[1, 2], [3]],
            3,
            b"bytes",
            None,
        ],
    )
    def test_what_is_no_picture(self, wrong: object) -> None:
        with pytest.raises(InputError):
            list(open_source(wrong))  # type: ignore[arg-type]

    @settings(max_examples=50, deadline=None)
    @given(st.integers(1, 40), st.integers(0, 45), st.integers(1, 9))
    def test_start_and_every_are_a_slice(self, count: int, start: int, every: int) -> None:
        video = np.zeros((count, 2, 2, 3), np.uint8)
        indices = [frame.index for frame in open_source(video).frames(start, every)]
        assert indices == list(range(count))[start::every]
