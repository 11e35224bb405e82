from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gasp.cues.voice import VoiceActivity
from gasp.demo import clip_path
from gasp.video.sound import read_sound
from helpers.observations import RATE, speech, tone

STEP = 0.04
TIME = np.arange(6 * RATE) / RATE
NOISE = np.random.default_rng(0).standard_normal(TIME.size)


def heard(sound: NDArray[np.floating], rate: int = RATE, step: float = STEP) -> NDArray[np.float64]:
    """Voice activity of every frame."""
    voice, size = VoiceActivity(step), step * rate
    return np.array(
        [
            voice.step(sound[round(k * size) : round((k + 1) * size)].astype(np.float32), rate)
            for k in range(int(sound.size / size))
        ]
    )


def filtered(low: float, high: float) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(NOISE)
    frequency = np.fft.rfftfreq(TIME.size, 1 / RATE)
    spectrum[(frequency < low) | (frequency > high)] = 0
    band: NDArray[np.float64] = np.fft.irfft(spectrum, TIME.size)
    return band / band.std()


def harmonics(base: NDArray[np.float64] | float, count: int) -> NDArray[np.float64]:
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(base, TIME.shape)) / RATE
    return np.sum([np.sin(k * phase) / k for k in range(1, count)], 0)


def struck(every: float, fading: float) -> NDArray[np.float64]:
    """How loud something is that is struck again and again, and fades."""
    return np.exp(-(TIME % every) / fading)


NO_VOICE = {
    "a tone": 0.3 * np.sin(2 * np.pi * 440 * TIME),
    "a faint tone in noise": 0.01 * np.sin(2 * np.pi * 1000 * TIME) + 1e-4 * NOISE,
    "beeps, four a second": 0.3 * np.sin(2 * np.pi * 880 * TIME) * (np.sin(8 * np.pi * TIME) > 0),
    "a siren": 0.3 * np.sin(2 * np.pi * np.cumsum(800 + 400 * np.sin(np.pi * TIME)) / RATE),
    "the hum of the mains": 0.2 * harmonics(50, 30),
    "an engine": 0.15 * harmonics(90 + 20 * np.sin(TIME), 25),
    "noise": 0.1 * NOISE,
    "noise in the speech band": 0.1 * filtered(300, 3400),
    "gusts of wind": 0.1 * filtered(20, 1000) * np.exp(1.2 * np.sin(2 * np.pi * 0.7 * TIME)),
    "clapping": 0.3 * NOISE * struck(0.5, 0.02),
    "clicks": 0.8 * (np.arange(TIME.size) % (RATE // 5) == 0),
    "a drum and a cymbal": 0.5 * np.sin(2 * np.pi * 60 * TIME) * struck(1, 0.06)
    + 0.2 * NOISE * struck(0.25, 0.02),
    "an organ": 0.1 * harmonics(220 * 2 ** (np.floor(TIME * 2) % 5 / 12), 8),
    "silence": np.zeros(TIME.size),
}


@pytest.mark.parametrize("name", NO_VOICE)
def test_what_is_no_voice(name: str) -> None:
    assert heard(NO_VOICE[name])[25:].max() < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_syllables_are_a_voice(seed: int) -> None:
    assert heard(speech(6, seed))[25:].mean() > 0.9


@pytest.mark.parametrize("loudness", [1e-2, 1, 30])
def test_how_loud_a_voice_is_does_not_count(loudness: float) -> None:
    assert heard(loudness * speech(3))[25:].mean() > 0.85


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_voice_at_any_sample_rate(rate: int) -> None:
    sound = speech(4)
    time = np.arange(4 * rate) / rate
    assert heard(np.interp(time, TIME[: sound.size], sound), rate)[25:].mean() > 0.85


def test_the_voices_of_the_demo_and_the_rests_between_them() -> None:
    recording = read_sound(clip_path(), RATE)
    assert recording is not None
    sound = recording.samples
    found = heard(sound)[25:]
    levels = [np.abs(sound[k * 640 : (k + 26) * 640]).max() for k in range(found.size)]
    talking = found[np.array(levels) > 0.05]
    resting = found[np.array(levels) < 1e-3]
    assert talking.mean() > 0.8
    assert resting.size > 10
    assert resting.max() == 0


def test_speech_in_noise_is_heard() -> None:
    sound = speech(6)
    noisy = sound + sound.std() * 10 ** (-10 / 20) * NOISE[: sound.size]
    assert heard(noisy)[25:].mean() > 0.6


def test_a_voice_is_heard_soon_and_forgotten_after_a_second() -> None:
    quiet = 1e-4 * NOISE[: 2 * RATE]
    found = heard(np.concatenate([quiet, speech(2), quiet]))
    assert found[25:50].max() < 0.05
    assert found[62:100].mean() > 0.8
    assert found[-24:].max() < 0.05


def test_a_start_in_the_middle_hears_the_same() -> None:
    """Nothing but the last second counts, to the bit: also in noise that lasts, whose level no floor follows."""
    sound = speech(6) + 0.02 * NOISE[: 6 * RATE]
    whole = heard(sound)
    for start in (10, 31, 77):
        late = heard(sound[start * 640 :])
        assert late[26:].tolist() == whole[start + 26 :].tolist()


def test_without_sound_it_tells_nothing() -> None:
    voice = VoiceActivity(STEP)
    assert [voice.step(piece, RATE) for piece in (None, tone(STEP), None)] == [0.5, 0.5, 0.5]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1500),
            st.sampled_from([0.0, 1e-6, 0.1, 1.0, 100.0]),
            st.sampled_from([0.0, np.nan, np.inf, 3e38]),
        ),
        max_size=40,
    ),
    st.floats(1e-3, 5),
    st.sampled_from([1000, 8000, 16000, 48000]),
)
def test_any_sound_gives_0_to_1(pieces: list[tuple[int, float, float]], step: float, rate: int) -> None:
    rng = np.random.default_rng(0)
    voice = VoiceActivity(step)
    for count, amplitude, broken in pieces:
        sound = (amplitude * rng.standard_normal(count)).astype(np.float32)
        if broken and count:
            sound[count // 2] = broken
        assert 0 <= voice.step(sound, rate) <= 1
