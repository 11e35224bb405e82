from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.errors import InputError, UsageError
from gasp.video import Sound, SoundStream, open_source, read_sound
from helpers.videos import clicks, damage, loudest, moving_square, write_sound, write_video


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_channels_become_mono_in_place(tmp_path: Path, rate: int, channels: int) -> None:
    codec = "pcm_u8" if rate == 8000 else "pcm_s16le"
    path = write_sound(tmp_path / "a.wav", clicks(rate, 2.0, [0.5, 1.4], channels), rate, codec)
    sound = read_sound(path)
    assert sound is not None
    assert sound.samples.dtype == np.float32
    assert (sound.rate, sound.start, len(sound.samples)) == (16000, 0.0, 32000)
    for time in (0.5, 1.4):
        assert loudest(sound.samples, sound.rate, sound.start, time) == pytest.approx(time, abs=1.5 / 8000)
    assert np.abs(sound.samples).max() == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.mp4", "aac", 44100),
        ("a.mp4", "aac", 48000),
        ("a.mkv", "aac", 48000),
        ("a.mkv", "libopus", 48000),
        ("a.mp4", "libmp3lame", 44100),
        ("a.avi", "pcm_s16le", 48000),
        ("a.ts", "aac", 48000),
    ],
)
def test_sound_is_on_the_clock_of_late_pictures(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    late = 0.0 if name == "a.avi" else 0.6  # AVI has no clock
    path = write_video(
        tmp_path / name,
        moving_square(20),
        times=[late + index / 25 for index in range(20)],
        codec="mpeg4" if name == "a.avi" else "libx264",
        sound=clicks(rate, 1.5, [0.3, 1.1], 2),
        sound_rate=rate,
        sound_codec=codec,
    )
    source = open_source(path)
    sound = source.read_sound()
    assert source.has_sound
    assert sound is not None
    late_found = source.start_time
    assert late_found == pytest.approx(late, abs=0.03)
    # Relative to the pictures, which is what matters; broadcast clocks begin elsewhere.
    for time in (0.3, 1.1):
        found = loudest(sound.samples, sound.rate, sound.start, time + late_found - late)
        assert found - late_found == pytest.approx(time - late, abs=0.002)


def test_late_sound(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mkv",
        moving_square(30),
        sound=clicks(48000, 0.6, [0.2]),
        sound_codec="flac",
        sound_start=0.5,
    )
    sound = read_sound(path)
    assert sound is not None
    assert sound.start == pytest.approx(0.5, abs=0.001)
    assert loudest(sound.samples, sound.rate, sound.start, 0.7) == pytest.approx(0.7, abs=0.001)
    assert sound.window(0.0, 0.4).max() == 0


def test_gaps_are_silence(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mkv",
        moving_square(50),
        sound=clicks(48000, 2.0, [0.3, 1.0, 1.7]),
        sound_codec="pcm_s16le",
        sound_gap=(0.8, 1.3),
    )
    sound = read_sound(path)
    assert sound is not None
    assert sound.end == pytest.approx(2.0, abs=0.002)
    for time in (0.3, 1.7):
        assert loudest(sound.samples, sound.rate, sound.start, time) == pytest.approx(time, abs=0.002)
    assert np.abs(sound.window(0.9, 1.25)).max() < 1e-3


def test_without_sound_there_is_none(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_square(3))
    source = open_source(path)
    assert read_sound(path) is None
    assert read_sound(path, start=0.0, end=1.0) is None
    assert source.read_sound() is None
    assert source.sound_stream() is None


def test_silence_is_sound(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_square(25), sound=np.zeros((1, 48000), np.float32))
    sound = read_sound(path)
    assert sound is not None
    assert len(sound.samples) == pytest.approx(16000, abs=2000)
    assert np.abs(sound.samples).max() < 1e-3


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.wav"])
def test_a_part_equals_the_cut_of_the_whole(tmp_path: Path, name: str) -> None:
    time = np.arange(48000 * 8) / 48000
    chirp = 0.5 * np.sin(2 * np.pi * 200 * time * time)  # a decoder fills noise with noise of its own
    samples = chirp[None].astype(np.float32)
    if name == "a.wav":
        path = write_sound(tmp_path / name, samples, 48000, "pcm_s16le")
    else:
        path = write_video(tmp_path / name, moving_square(5), sound=samples)
    whole, part = read_sound(path), read_sound(path, start=5.0, end=6.5)
    assert whole is not None
    assert part is not None
    assert (part.start, len(part.samples)) == (5.0, 24000)
    np.testing.assert_allclose(part.samples, whole.window(5.0, 6.5), atol=2e-3)
    beyond = read_sound(path, start=100.0, end=101.0)
    assert beyond is not None
    assert len(beyond.samples) == 0


def test_a_part_of_matroska_is_in_place(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", moving_square(5), sound=clicks(48000, 8.0, [5.8], 2))
    part = read_sound(path, start=5.0, end=6.5)
    assert part is not None
    assert (part.start, len(part.samples)) == (5.0, 24000)
    assert loudest(part.samples, part.rate, part.start, 5.8) == pytest.approx(5.8, abs=0.001)


def test_damaged_sound_keeps_the_rest_in_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_sound(tmp_path / "a.mkv", clicks(48000, 6.0, [0.5, 5.5], 2), 48000, "libmp3lame")
    damage(path, 0.4, 3000)
    with caplog.at_level(logging.WARNING):
        sound = read_sound(path)
    assert sound is not None
    assert loudest(sound.samples, 16000, sound.start, 0.5) == pytest.approx(0.5, abs=0.003)
    assert len(caplog.records) <= 1


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_sound(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_text("nothing")
    with pytest.raises(InputError, match="cannot be read"):
        read_sound(tmp_path / "b.mp4")


def test_a_stream_gives_what_the_whole_holds(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    samples = (0.1 * rng.standard_normal((2, 48000 * 3))).astype(np.float32)
    path = write_video(tmp_path / "a.mp4", moving_square(5), sound=samples)
    whole = read_sound(path)
    assert whole is not None
    with SoundStream(path) as stream:
        pieces = [stream.until(time) for time in (0.1, 0.1, 0.0, 1.234, 2.9, 4.0)]
    joined = np.concatenate(pieces)
    assert [len(piece) for piece in pieces] == [1600, 0, 0, 18144, 26656, 17600]
    np.testing.assert_array_equal(joined, whole.window(0.0, 4.0))
    with SoundStream(path) as stream:
        for step in range(40):
            end = step * 0.1
            np.testing.assert_array_equal(stream.window(end - 1.5, end), whole.window(end - 1.5, end))
    with SoundStream(path, start=2.0) as stream:
        np.testing.assert_allclose(stream.until(2.5), whole.window(2.0, 2.5), atol=2e-3)


def test_a_stream_forgets(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", clicks(16000, 30.0, [1.0]), 16000, "pcm_s16le")
    stream = SoundStream(path, keep=1.0)
    for second in range(2, 29):
        stream.window(second, second + 1.0)
        assert len(stream._buffer) < 16000 * 4
    with pytest.raises(UsageError, match="no longer kept"):
        stream.window(5.0, 6.0)
    assert len(stream.window(27.5, 28.0)) == 8000


windows = st.floats(-3, 6, allow_nan=False)


@settings(deadline=None)
@given(st.integers(0, 400), st.floats(-2, 2), windows, windows)
def test_windows_have_the_exact_length_and_zeros_outside(
    count: int, start: float, t0: float, t1: float
) -> None:
    rate = 100
    sound = Sound(np.arange(1, count + 1, dtype=np.float32), rate, start)
    t0, t1 = sorted((t0, t1))
    window = sound.window(t0, t1)
    first = round((t0 - start) * rate)
    expected = [
        place + 1 if 0 <= place < count else 0 for place in range(first, first + round((t1 - t0) * rate))
    ]
    np.testing.assert_array_equal(window, np.array(expected, np.float32))


def test_sound_from_arrays() -> None:
    ramp = np.linspace(-0.5, 0.5, 100)
    np.testing.assert_allclose(Sound.from_array(ramp, 100).samples, ramp, atol=1e-7)
    stereo = np.stack([ramp, np.zeros(100)])
    for array in (stereo, stereo.T):
        np.testing.assert_allclose(Sound.from_array(array, 100).samples, ramp / 2, atol=1e-7)
    integers = np.array([-32768, 0, 16384], np.int16)
    np.testing.assert_array_equal(Sound.from_array(integers, 100).samples, [-1, 0, 0.5])
    np.testing.assert_array_equal(
        Sound.from_array(np.array([0, 128, 192], np.uint8), 100).samples, [-1, 0, 0.5]
    )
    assert Sound.from_array(ramp, 100).resampled(200).samples.shape == (200,)
    for wrong in (np.zeros((2, 2, 2)), np.array(["a"]), np.array(1.0)):
        with pytest.raises(InputError):
            Sound.from_array(wrong, 100)
    with pytest.raises(InputError, match="rate"):
        Sound.from_array(ramp, 0)
