"""Names that are not what they look like, and files that are none."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from gasp.errors import InputError, UsageError
from gasp.naming import printable
from gasp.video import GifWriter, VideoWriter, open_source, read_sound
from gasp.video.joining import join_videos
from gasp.video.pictures import is_image_file
from helpers.videos import clicks, moving_square, write_video

NOT_UTF8 = os.fsdecode(b"talk\xff.mp4")
LIKE_ADDRESSES = [
    "Interview: part 1.mp4",
    "2024-01-01T10:20:30.mp4",
    "http:/talk.mp4",
    "file:talk.mp4",
    "pipe:0.mp4",
    "concat:a|b.mp4",
    "-i.mp4",
    "talk%03d.mp4",
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_video(path, moving_square(5), sound=clicks(48000, 0.2, [0.1]))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [*LIKE_ADDRESSES, NOT_UTF8, "tälk.mp4", "話.mp4"])
def test_local_files_are_read_whatever_they_are_called(here: Path, clip: Path, name: str) -> None:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    shutil.copy(clip, path)
    with open_source(name) as source:
        assert len(list(source)) == 5
        sound = source.read_sound()
    assert sound is not None
    assert np.abs(sound.samples).max() > 0.1
    source.name.encode()


@pytest.mark.parametrize("folder", ["results: 1", "http:", os.fsdecode(b"r\xff")])
def test_results_are_written_whatever_their_folder_is_called(here: Path, folder: str) -> None:
    pictures = moving_square(4, 32, 32)
    with VideoWriter(f"{folder}/a.mp4", 32, 32, 25) as video:
        for picture in pictures:
            video.write(picture)
    with GifWriter(f"{folder}/a.gif", 32, 32, 25) as gif:
        gif.write(pictures[0])
    join_videos([(Path(folder, "a.mp4"), 0.0), (Path(folder, "a.mp4"), 0.16)], Path(folder, "b.mp4"))
    assert len(list(open_source(Path(folder, "b.mp4")))) == 8
    assert sorted(os.listdir(folder)) == ["a.gif", "a.mp4", "b.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="names are not bytes there")
@pytest.mark.parametrize("name", [b"talk\xff.mp4", "tälk.mp4".encode(), "tälk.png".encode(), b"\xff.png"])
def test_a_process_that_knows_only_ascii_survives(tmp_path: Path, clip: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(tmp_path), name)
    if name.endswith(b"png"):
        Path(os.fsdecode(path)).write_bytes(cv2.imencode(".png", moving_square(1)[0])[1].tobytes())
    else:
        shutil.copy(clip, path)
    code = "import sys; from gasp.video import open_source; print(len(list(open_source(sys.argv[1]))))"
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, path], env=environment, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == (1 if name.endswith(b"png") else 5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
@pytest.mark.parametrize("suffix", [".mp4", ".png", ""])
def test_pipes_sockets_and_devices_are_refused_at_once(here: Path, suffix: str) -> None:
    os.mkfifo(f"pipe{suffix}")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"socket{suffix}")
        for name, kind in ((f"pipe{suffix}", "pipe"), (f"socket{suffix}", "socket"), ("/dev/zero", "device")):
            with pytest.raises(InputError, match=f"{name} is a {kind}"):
                open_source(name)
            with pytest.raises(InputError, match=kind):
                read_sound(name)


def test_pipes_in_a_folder_of_images_are_passed_over(here: Path) -> None:
    Path("1.png").write_bytes(cv2.imencode(".png", moving_square(1)[0])[1].tobytes())
    os.mkfifo("2.png")
    assert len(list(open_source(here))) == 1


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "\0", "a/" * 3000, "a/b\0.mp4", "", "missing.mp4"])
def test_names_that_no_file_has(here: Path, name: str) -> None:
    with pytest.raises(InputError):
        open_source(name)
    with pytest.raises(InputError):
        read_sound(name)


def test_messages_can_be_printed_whatever_the_name(here: Path) -> None:
    with pytest.raises(InputError) as missing:
        open_source(NOT_UTF8)
    assert str(missing.value).encode("utf-8") == rb"talk\udcff.mp4 does not exist."
    assert printable(Path(NOT_UTF8)) == r"talk\udcff.mp4"


@pytest.mark.parametrize(
    "suffix", ["bmp", "jpg", "png", "webp", "tiff", "ppm", "pgm", "pbm", "pam", "avif", "ras"]
)
def test_images_are_known_by_their_first_bytes_as_opencv_knows_them(tmp_path: Path, suffix: str) -> None:
    picture = moving_square(1, 32, 32)[0]
    picture = picture[..., 0] if suffix in ("pgm", "pbm") else picture
    written, data = cv2.imencode(f".{suffix}", picture)
    assert written
    path = tmp_path / "x"
    path.write_bytes(data.tobytes())
    assert cv2.haveImageReader(str(path))
    assert is_image_file(path)
    (frame,) = open_source(path)
    assert frame.image.shape == (32, 32, 3)


def test_videos_are_no_images(clip: Path, tmp_path: Path) -> None:
    assert not is_image_file(clip)
    gif = write_video(
        tmp_path / "a.gif", moving_square(3)[..., 0], codec="gif", pix_fmt="gray", source_format="gray"
    )
    shutil.copy(gif, tmp_path / "a.png")  # by its contents, not by its name
    assert len(list(open_source(tmp_path / "a.png"))) == 3


def test_a_video_that_no_player_could_show_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="20000 x 10"):
        VideoWriter(tmp_path / "a.mp4", 20000, 10, 25)
    assert not list(tmp_path.iterdir())
