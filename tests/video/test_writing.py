from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from gasp.errors import InputError, OutputError, UsageError
from gasp.video import (
    GifWriter,
    ImageFolderWriter,
    PictureWriter,
    Sound,
    VideoWriter,
    open_source,
    read_sound,
)
from helpers.videos import clicks, loudest, moving_square, set_display_matrix, write_video


def copy(source_path: Path, target: Path, **settings: object) -> None:
    """Write every picture of a file again, with its sound."""
    with open_source(source_path) as source:
        writer = VideoWriter(target, source.width, source.height, source.fps, sound_from=source, **settings)  # type: ignore[arg-type]
        with writer:
            for frame in source:
                writer.write(frame.image, frame.time)


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def fail_after_one_picture(writer: PictureWriter) -> None:
    with writer:
        writer.write(moving_square(1)[0])
        raise ZeroDivisionError


def leftovers(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir() if item.name.startswith("."))


class TestVideo:
    @pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "m4v"])
    def test_pictures_come_back(self, tmp_path: Path, suffix: str) -> None:
        pictures = moving_square(20)
        path = tmp_path / "new" / "folder" / f"out.{suffix}"
        with VideoWriter(path, 64, 48, 30000 / 1001) as writer:
            for picture in pictures:
                writer.write(picture)
            assert not path.exists()
        source = open_source(path)
        assert source.fps == pytest.approx(30000 / 1001, abs=0.5)
        frames = list(source)
        assert [frame.time for frame in frames] == pytest.approx(np.arange(20) * 1001 / 30000, abs=0.001)
        for frame, picture in zip(frames, pictures, strict=True):
            assert np.abs(frame.image.astype(int) - picture).mean() < 6
        assert leftovers(path.parent) == []

    def test_colours_are_kept(self, tmp_path: Path) -> None:
        colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128)]
        pictures = [np.full((32, 32, 3), colour, np.uint8) for colour in colours]
        with VideoWriter(tmp_path / "out.mp4", 32, 32, 25, crf=10) as writer:
            for picture in pictures:
                writer.write(picture)
        for frame, colour in zip(open_source(tmp_path / "out.mp4"), colours, strict=True):
            assert np.abs(frame.image.reshape(-1, 3).mean(0) - colour).max() < 5
        with av.open(str(tmp_path / "out.mp4")) as container:
            context = container.streams.video[0].codec_context
            assert (context.pix_fmt, context.color_range, context.colorspace) == ("yuv420p", 1, 6)

    def test_true_times_are_kept(self, tmp_path: Path) -> None:
        times = [0.5, 0.54, 0.7, 1.9, 1.95]
        with VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as writer:
            for picture, time in zip(moving_square(5), times, strict=True):
                writer.write(picture, time)
        assert [frame.time for frame in open_source(tmp_path / "out.mp4")] == pytest.approx(times, abs=1e-4)
        with VideoWriter(tmp_path / "even.mp4", 64, 48, 25, times=False) as writer:
            for picture, time in zip(moving_square(5), times, strict=True):
                writer.write(picture, time)
        found = [frame.time for frame in open_source(tmp_path / "even.mp4")]
        assert found == pytest.approx([0, 0.04, 0.08, 0.12, 0.16], abs=1e-4)

    @pytest.mark.parametrize("suffix", ["mp4", "mkv"])
    @pytest.mark.parametrize(("rate", "codec"), [(44100, "aac"), (48000, "libmp3lame"), (48000, "libopus")])
    def test_sound_is_copied_and_stays_in_place(
        self, tmp_path: Path, suffix: str, rate: int, codec: str
    ) -> None:
        source = write_video(
            tmp_path / f"in.{suffix}",
            moving_square(30),
            times=[0.77 + index / 25 for index in range(30)],
            sound=clicks(rate, 2.0, [0.3, 1.5], 2),
            sound_rate=rate,
            sound_codec=codec,
        )
        copy(source, tmp_path / "out.mp4")
        assert packets(tmp_path / "out.mp4") == packets(source)
        before, after = read_sound(source), read_sound(tmp_path / "out.mp4")
        assert before is not None
        assert after is not None
        for time in (0.3, 1.5):
            expected = loudest(before.samples, 16000, before.start, time)
            assert loudest(after.samples, 16000, after.start, time) == pytest.approx(expected, abs=0.0015)
        old, new = open_source(source), open_source(tmp_path / "out.mp4")
        assert [frame.time for frame in new] == pytest.approx([frame.time for frame in old], abs=1e-3)

    @pytest.mark.parametrize(
        ("name", "codec", "rate", "channels"),
        [
            ("in.mov", "pcm_s16le", 48000, 2),
            ("in.mkv", "flac", 44100, 1),
            ("in.mkv", "pcm_s16le", 8000, 1),
            ("in.mkv", "flac", 96000, 2),
            ("in.ts", "aac", 48000, 2),
        ],
    )
    def test_other_sound_becomes_aac_in_place(
        self, tmp_path: Path, name: str, codec: str, rate: int, channels: int
    ) -> None:
        source = write_video(
            tmp_path / name,
            moving_square(30),
            times=[0.4 + index / 25 for index in range(30)],
            sound=clicks(rate, 1.9, [0.5, 1.3], channels),
            sound_rate=rate,
            sound_codec=codec,
        )
        copy(source, tmp_path / "out.mp4")
        before, after = read_sound(source), read_sound(tmp_path / "out.mp4")
        assert before is not None
        assert after is not None
        shift = open_source(source).start_time - 0.4  # broadcast clocks
        for time in (0.5 + shift, 1.3 + shift):
            expected = loudest(before.samples, 16000, before.start, time)
            assert loudest(after.samples, 16000, after.start, time) == pytest.approx(expected, abs=0.002)
        assert after.end == pytest.approx(before.end, abs=0.05)
        first = next(iter(open_source(tmp_path / "out.mp4")))
        assert first.time == pytest.approx(open_source(source).start_time, abs=0.001)

    def test_a_container_that_refuses_the_codec_gets_aac(self, tmp_path: Path) -> None:
        source = write_video(
            tmp_path / "in.mkv", moving_square(25), sound=clicks(48000, 1.0, [0.5]), sound_codec="libopus"
        )
        copy(source, tmp_path / "out.mov")
        with av.open(str(tmp_path / "out.mov")) as container:
            assert container.streams.audio[0].codec_context.name == "aac"
        sound = read_sound(tmp_path / "out.mov")
        assert sound is not None
        assert loudest(sound.samples, 16000, sound.start, 0.5) == pytest.approx(0.5, abs=0.002)
        assert len(list(open_source(tmp_path / "out.mov"))) == 25

    def test_sound_from_memory(self, tmp_path: Path) -> None:
        sound = Sound(clicks(16000, 1.0, [0.6])[0], 16000, 0.0)
        with VideoWriter(tmp_path / "a.mp4", 64, 48, 25, sound_from=sound) as writer:
            for picture in moving_square(25):
                writer.write(picture)
        source = open_source(moving_square(25), sound=(sound.samples, 16000))
        with VideoWriter(tmp_path / "b.mp4", 64, 48, 25, sound_from=source) as writer:
            for frame in source:
                writer.write(frame.image, frame.time)
        for name in ("a.mp4", "b.mp4"):
            found = read_sound(tmp_path / name)
            assert found is not None
            assert loudest(found.samples, 16000, found.start, 0.6) == pytest.approx(0.6, abs=0.001)

    def test_a_source_without_sound(self, tmp_path: Path) -> None:
        copy(write_video(tmp_path / "in.mp4", moving_square(5)), tmp_path / "out.mp4")
        assert not open_source(tmp_path / "out.mp4").has_sound

    @pytest.mark.parametrize("codec", ["aac", "flac"])
    def test_a_part_of_a_source(self, tmp_path: Path, codec: str) -> None:
        source = write_video(
            tmp_path / "in.mkv",
            moving_square(100),
            sound=clicks(48000, 4.0, [0.5, 1.5, 2.5, 3.5], 2),
            sound_codec=codec,
        )
        with VideoWriter(tmp_path / "out.mp4", 64, 48, 25, sound_from=source, start=1.0, end=3.0) as writer:
            for frame in open_source(source):
                if 1.0 <= frame.time < 3.0:
                    writer.write(frame.image, frame.time)
        result, sound = open_source(tmp_path / "out.mp4"), read_sound(tmp_path / "out.mp4")
        assert result.start_time == pytest.approx(0, abs=0.001)
        assert len(list(result)) == 50
        assert sound is not None
        assert sound.end == pytest.approx(2.0, abs=0.05)
        for time in (0.5, 1.5):
            assert loudest(sound.samples, 16000, sound.start, time) == pytest.approx(time, abs=0.002)

    def test_turned_sources_are_written_upright(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "in.mp4", moving_square(5))
        set_display_matrix(path, (0, 1, -1, 0))
        copy(path, tmp_path / "out.mp4")
        result = open_source(tmp_path / "out.mp4")
        assert (result.width, result.height) == (48, 64)

    @pytest.mark.parametrize(("width", "height"), [(33, 17), (1, 1), (2, 5), (1001, 3)])
    def test_odd_sizes_grow_by_their_edge(self, tmp_path: Path, width: int, height: int) -> None:
        pictures = moving_square(3, width, height)
        with VideoWriter(tmp_path / "out.mp4", width, height, 25) as writer:
            for picture in pictures:
                writer.write(picture)
        result = open_source(tmp_path / "out.mp4")
        assert (result.width, result.height) == (width + width % 2, height + height % 2)
        assert len(list(result)) == 3

    def test_grey_and_transparent_pictures(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "out.mp4", 32, 16, 25) as writer:
            writer.write(np.full((16, 32), 90, np.uint8))
            writer.write(np.full((16, 32, 4), (90, 90, 90, 255), np.uint8))
        for frame in open_source(tmp_path / "out.mp4"):
            assert frame.image.mean() == pytest.approx(90, abs=4)

    def test_the_array_may_be_reused(self, tmp_path: Path) -> None:
        picture = np.empty((48, 64, 3), np.uint8)
        with VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as writer:
            for level in range(0, 200, 10):
                picture[:] = level
                writer.write(picture)
        levels = [frame.image.mean() for frame in open_source(tmp_path / "out.mp4")]
        assert levels == pytest.approx(list(range(0, 200, 10)), abs=5)

    def test_the_index_is_in_front(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as writer:
            writer.write(moving_square(1)[0])
        data = (tmp_path / "out.mp4").read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")

    def test_times_that_do_not_rise_are_pushed_apart(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as writer:
            for picture, time in zip(moving_square(4), [0.0, 0.04, 0.04, 0.01], strict=True):
                writer.write(picture, time)
        times = [frame.time for frame in open_source(tmp_path / "out.mp4")]
        assert len(times) == 4
        assert times == sorted(times)


class TestUnfinished:
    def test_an_exception_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "out.mp4").write_text("the result of before")
        with pytest.raises(ZeroDivisionError):
            fail_after_one_picture(VideoWriter(tmp_path / "out.mp4", 64, 48, 25))
        assert [item.name for item in tmp_path.iterdir()] == ["out.mp4"]
        assert (tmp_path / "out.mp4").read_text() == "the result of before"

    def test_a_partial_result_can_be_kept(self, tmp_path: Path) -> None:
        source = write_video(tmp_path / "in.mp4", moving_square(50), sound=clicks(48000, 2.0, [0.5], 2))
        writer = VideoWriter(tmp_path / "out.mp4", 64, 48, 25, sound_from=source, keep_partial=True)
        for frame in itertools.islice(open_source(source), 25):
            writer.write(frame.image, frame.time)
        writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
        assert sorted(item.name for item in tmp_path.iterdir()) == ["in.mp4", "out.partial.mp4"]
        partial = open_source(tmp_path / "out.partial.mp4")
        assert len(list(partial)) == 25
        sound = partial.read_sound()
        assert sound is not None
        assert sound.end == pytest.approx(1.0, abs=0.05)

    def test_no_pictures_is_an_error(self, tmp_path: Path) -> None:
        for path, make in (
            (tmp_path / "out.mp4", lambda path: VideoWriter(path, 64, 48, 25)),
            (tmp_path / "out.gif", lambda path: GifWriter(path, 64, 48, 25)),
            (tmp_path / "images", lambda path: ImageFolderWriter(path)),
        ):
            with pytest.raises(OutputError, match="no pictures"), make(path):
                pass
        assert list(tmp_path.iterdir()) == []

    def test_wrong_pictures_and_settings(self, tmp_path: Path) -> None:
        with (
            pytest.raises(UsageError, match="64 x 48"),
            VideoWriter(tmp_path / "a.mp4", 64, 48, 25) as writer,
        ):
            writer.write(np.zeros((10, 10, 3), np.uint8))
        with pytest.raises(InputError), VideoWriter(tmp_path / "a.mp4", 64, 48, 25) as writer:
            writer.write(np.zeros((48, 64, 3), np.float32))
        for settings in ((0, 48, 25), (64, 48, 0), (64, 48, float("nan"))):
            with pytest.raises(UsageError):
                VideoWriter(tmp_path / "a.mp4", *settings)
        with pytest.raises(UsageError, match=r"\.mp4"):
            VideoWriter(tmp_path / "a.xyz", 64, 48, 25)
        with pytest.raises(InputError):
            VideoWriter(tmp_path / "a.mp4", 64, 48, 25, sound_from=tmp_path / "none.mp4")
        assert list(tmp_path.iterdir()) == []

    def test_closed_writers_take_nothing(self, tmp_path: Path) -> None:
        writer = VideoWriter(tmp_path / "a.mp4", 64, 48, 25)
        writer.write(moving_square(1)[0])
        writer.close()
        writer.close()
        with pytest.raises(UsageError, match="closed"):
            writer.write(moving_square(1)[0])

    def test_places_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "folder.mp4").mkdir()
        with pytest.raises(OutputError, match="cannot be written"):
            VideoWriter(tmp_path / "file" / "a.mp4", 64, 48, 25)
        with pytest.raises(OutputError, match="in the way"):
            VideoWriter(tmp_path / "folder.mp4", 64, 48, 25)
        with pytest.raises(OutputError, match="in the way"):
            ImageFolderWriter(tmp_path / "file")

    def test_no_thread_stays_behind(self, tmp_path: Path) -> None:
        before = threading.active_count()
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                fail_after_one_picture(VideoWriter(tmp_path / "a.mp4", 64, 48, 25))
        assert threading.active_count() == before

    @pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files the POSIX way")
    @pytest.mark.parametrize("kind", ["VideoWriter", "GifWriter"])
    def test_a_full_disk_is_said_in_one_sentence(self, tmp_path: Path, kind: str) -> None:
        # A limit on the size of files fails at the same place as a full disk.
        code = f"""
import resource, signal, sys
import numpy as np
from gasp.errors import OutputError
from gasp.video import {kind}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
try:
    with {kind}(sys.argv[1], 160, 120, 25) as writer:
        for _ in range(10):
            writer.write(np.roll(noise, 7))
except OutputError as error:
    print(error)
"""
        suffix = "mp4" if kind == "VideoWriter" else "gif"
        result = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"out.{suffix}")],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert "cannot be written" in result.stdout
        assert result.stdout.count("\n") == 1
        assert list(tmp_path.iterdir()) == []


class TestGif:
    def test_pictures_and_times(self, tmp_path: Path) -> None:
        pictures = moving_square(10)
        with GifWriter(tmp_path / "out.gif", 64, 48, 10) as writer:
            for index, picture in enumerate(pictures):
                writer.write(picture, 3.0 + index * 0.1)
        frames = list(open_source(tmp_path / "out.gif"))
        assert [frame.time for frame in frames] == pytest.approx(np.arange(10) / 10, abs=0.006)
        for frame, picture in zip(frames, pictures, strict=True):
            assert np.abs(frame.image.astype(int) - picture).mean() < 8

    def test_pictures_are_scaled(self, tmp_path: Path) -> None:
        with GifWriter(tmp_path / "out.gif", 32, 24, 5) as writer:
            writer.write(moving_square(1)[0])
            writer.write(moving_square(2)[1])
        source = open_source(tmp_path / "out.gif")
        assert (source.width, source.height) == (32, 24)
        assert [frame.time for frame in source] == pytest.approx([0, 0.2])

    def test_partial(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError):
            fail_after_one_picture(GifWriter(tmp_path / "a.gif", 64, 48, 5, keep_partial=True))
        assert [item.name for item in tmp_path.iterdir()] == ["a.partial.gif"]


class TestImageFolder:
    def test_numbered_from_one(self, tmp_path: Path) -> None:
        pictures = moving_square(3)
        with ImageFolderWriter(tmp_path / "maps") as writer:
            for picture in pictures:
                writer.write(picture, 1.0)
        names = [item.name for item in sorted((tmp_path / "maps").iterdir())]
        assert names == ["000001.png", "000002.png", "000003.png"]
        np.testing.assert_array_equal([frame.image for frame in open_source(tmp_path / "maps")], pictures)

    def test_grey_stays_grey(self, tmp_path: Path) -> None:
        grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
        with ImageFolderWriter(tmp_path / "maps") as writer:
            writer.write(grey)
        np.testing.assert_array_equal(
            cv2.imread(str(tmp_path / "maps" / "000001.png"), cv2.IMREAD_UNCHANGED), grey
        )

    def test_replaces_only_its_own(self, tmp_path: Path) -> None:
        for suffix in ("png", "jpg"):
            with ImageFolderWriter(tmp_path / "maps", suffix=suffix) as writer:
                writer.write(moving_square(1)[0])
            assert [item.name for item in (tmp_path / "maps").iterdir()] == [f"000001.{suffix}"]
        (tmp_path / "maps" / "thesis.tex").write_text("years of work")
        with pytest.raises(OutputError, match=r"thesis\.tex"):
            ImageFolderWriter(tmp_path / "maps")

    def test_unfinished(self, tmp_path: Path) -> None:
        for keep in (False, True):
            with pytest.raises(ZeroDivisionError):
                fail_after_one_picture(ImageFolderWriter(tmp_path / "maps", keep_partial=keep))
            assert [item.name for item in tmp_path.iterdir()] == (["maps.partial"] if keep else [])
