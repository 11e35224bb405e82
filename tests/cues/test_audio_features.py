"""Log-mel examples and waveforms: published values, and the same piece by piece."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gasp.cues import audio_features as audio
from helpers import synthetic
from helpers.parity import Case, case_names


def published_signal(case: Case) -> NDArray[np.float32]:
    """The signal that the audio cases describe in words."""
    (noise,) = case.inputs()
    t = np.arange(len(noise)) / case.options["rate"]
    tones = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.2 * np.sin(2 * np.pi * (200 + 1500 * t) * t)
    return (tones + 0.05 * noise.numpy()).astype(np.float32)


@pytest.mark.parametrize("name", case_names("audio", "logmel_*"))
def test_log_mel_examples_have_published_values(name: str) -> None:
    case = Case("audio", name)
    examples = audio.log_mel_examples(published_signal(case), case.options["rate"], case.options["fps"])
    expected = case.expected["examples"]
    assert examples.dtype == np.float32
    # Where the case resamples, the note promises 1e-3 to the same resampler.
    bound = 1e-3 if case.options["rate"] != 16000 else 1e-4
    np.testing.assert_allclose(examples, expected, atol=bound, rtol=bound)


@pytest.mark.parametrize("name", case_names("saliency_cues", "dave_log_mel_*"))
def test_log_mel_examples_have_the_values_that_dave_was_fed(name: str) -> None:
    case = Case("saliency_cues", name)
    (waveform,) = case.inputs()
    patches = audio.log_mel_examples(0.1 * waveform.numpy(), case.options["rate"], case.options["fps"])
    assert len(patches) == case.expected["count"]
    np.testing.assert_allclose(patches[:, ::4, ::2], case.expected["patches"], atol=1e-3, rtol=1e-4)


def test_mel_matrix_and_window_have_published_values() -> None:
    case = Case("audio", "mel_matrix")
    np.testing.assert_allclose(audio.mel_matrix(), case.expected["matrix"], atol=1e-9, rtol=1e-6)
    np.testing.assert_allclose(audio.periodic_hann(400), case.expected["window"], atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("name", case_names("audio", "windowed_*"))
def test_windowed_waveforms_have_published_values(name: str) -> None:
    case = Case("audio", name)
    rows = published_signal(case).reshape(case.options["rows"], case.options["chunk"])
    features = audio.windowed_waveform(rows, case.options["rate"]) * 2.0**23
    np.testing.assert_allclose(features, case.expected["features"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", case_names("saliency_cues", "*_audio_excerpt_*"))
def test_waveform_excerpts_have_published_values(name: str) -> None:
    case = Case("saliency_cues", name)
    options, rate, fps = case.options, case.options["rate"], case.options["fps"]
    samples = 2 * case.inputs()[0][0].numpy() - 1
    first, last = (options[key] - 1 for key in ("first_frame", "last_frame"))
    start, end = audio.excerpt_bounds(first / fps, last / fps, 1 / fps, rate)
    piece = samples[start : end + 1]
    excerpt = audio.centred_excerpt(piece, options["length"])
    assert (start, end) == (case.expected["start"], case.expected["end"])
    assert len(piece) == case.expected["valid"]
    np.testing.assert_allclose(excerpt[::37], case.expected["excerpt"], atol=1e-3, rtol=1e-4)
    heard = np.flatnonzero(excerpt)
    assert (heard[0], heard[-1]) == (case.expected["first_nonzero"], case.expected["last_nonzero"])


def test_an_excerpt_longer_than_the_buffer_keeps_its_middle() -> None:
    excerpt = audio.centred_excerpt(np.arange(1000, dtype=np.float32), 101)
    assert excerpt.shape == (101,)
    assert excerpt[50] == pytest.approx(256 * 500, rel=0.01)


@given(
    st.sampled_from([(44100, 16000), (48000, 16000), (8000, 16000), (48000, 48000), (22050, 48000)]),
    st.lists(st.integers(0, 700), min_size=1, max_size=8),
)
@settings(max_examples=8, deadline=None)
def test_resampling_piece_by_piece_is_resampling_at_once(rates: tuple[int, int], sizes: list[int]) -> None:
    old, new = rates
    signal = synthetic.array("sound", (sum(sizes),), "normal", 1)
    resampler = audio.Resampler(old, new)
    pieces = [resampler.push(piece) for piece in np.split(signal, np.cumsum(sizes)[:-1])]
    joined = np.concatenate([*pieces, resampler.finish()])
    at_once = audio.resample(signal, old, new)
    assert len(at_once) == int(len(signal) * (new / old))
    np.testing.assert_allclose(joined, at_once, atol=1e-12)


def test_resampling_keeps_a_tone() -> None:
    t = np.arange(4410) / 44100
    resampled = audio.resample(np.sin(2 * np.pi * 440 * t), 44100, 16000)
    expected = np.sin(2 * np.pi * 440 * np.arange(1600) / 16000)
    np.testing.assert_allclose(resampled[200:-200], expected[200:-200], atol=5e-3)


@given(st.lists(st.integers(0, 1500), min_size=1, max_size=20), st.sampled_from([16000, 44100]))
@settings(max_examples=8, deadline=None)
def test_examples_of_the_stream_are_those_of_the_whole_spectrogram(sizes: list[int], rate: int) -> None:
    signal = synthetic.array("sound", (sum(sizes),), "normal", 2) * np.float32(0.1)
    stream = audio.LogMelStream(rate)
    example = [stream.push(piece) for piece in np.split(signal, np.cumsum(sizes)[:-1])][-1]
    at_once = audio.LogMelStream(rate).push(signal)
    np.testing.assert_allclose(example, at_once, atol=1e-5)
    if rate == 16000:
        rows = audio.log_mel_spectrogram(signal)[-64:]
        np.testing.assert_allclose(example[64 - len(rows) :], rows, atol=1e-5)
        np.testing.assert_allclose(example[: 64 - len(rows)], np.log(0.01), atol=1e-6)


def test_heard_sound_is_one_stretch_whatever_the_rounding_of_its_pieces() -> None:
    rate, fps, count = 16000, 30, 60
    signal = synthetic.array("sound", (count * rate // fps + 1,), "normal", 3)
    heard = audio.HeardSound(rate, keep=10)
    for k in range(count):
        begin = round(k / fps * rate)
        heard.add(signal[begin : begin + round(rate / fps)], k / fps)
    stretch = heard.cut(0, heard.end)
    assert heard.end == round((count - 1) / fps * rate) + 533
    assert np.mean(stretch == signal[: len(stretch)]) > 0.999


def test_heard_sound_survives_gaps_and_values_that_are_no_numbers() -> None:
    heard = audio.HeardSound(1000, keep=1)
    heard.add(np.array([1, np.nan, np.inf, 2], np.float32), 5.0)
    heard.add(None, 5.004)
    heard.add(np.ones(4, np.float32), 1000.0)
    assert heard.end == 995004
    assert np.isfinite(heard.cut(0, heard.end)).all()
    assert len(heard.cut(0, heard.end)) == 1000
