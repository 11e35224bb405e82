"""The cues of published saliency networks: published values, and the stream against plain windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from gasp.cues.audio_features import HeardSound, LogMelStream, log_mel_examples, windowed_waveform
from gasp.cues.dave import Dave, draw_dave, published_packet
from gasp.cues.observation import Observation
from gasp.cues.saliency import SaliencyCue, colour_jet, prepare_pictures, resize, sigmoid
from gasp.cues.stavis import Stavis, draw_stavis, stavis_preprocessing
from gasp.cues.tased import Tased, smooth_tased
from gasp.cues.unisal import PUBLISHED_INPUT, Unisal, draw_unisal, median_over_time
from gasp.cues.vinet import Avinet, Vinet, draw_vinet, smooth_vinet
from gasp.cues.window_sound import BlockSound
from gasp.cues.windows import (
    Windows,
    published_plan,
    published_positions,
    published_window,
    reversed_start,
    window_around,
)
from gasp.errors import UsageError
from gasp.networks import create_model
from gasp.video.frames import Frame
from gasp.weights.catalogue import Preprocessing, find_entry
from helpers import synthetic
from helpers.parity import Case, case_names

FPS, RATE = 5, 16000
SIZE = (32, 64)


def observations(count: int, *, sound: bool = True, rate: int = RATE, fps: int = FPS) -> list[Observation]:
    """Frames of different sizes with noise for sound."""
    seen = []
    for k in range(count):
        image = synthetic.image(f"frame {k}", 40 + 2 * (k % 3), 60, seed=k)
        piece = 0.1 * synthetic.array(f"sound {k}", (rate // fps,), "normal", k) if sound else None
        seen.append(
            Observation(
                frame=Frame(k, 2.0 + k / fps, image),
                small=image,
                grid=(8, 8),
                sound=piece,
                sound_rate=rate,
                step=1 / fps,
            )
        )
    return seen


def outputs_of(
    cue: SaliencyCue[Any],
    seen: Sequence[Observation],
    sizes: Sequence[int],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.uint8]]]:
    """What the network gave, and the maps, with frames pushed in groups of ``sizes`` in turn."""
    outputs: list[NDArray[np.float32]] = []
    grey = cue._grey

    def record(output: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
        outputs.append(output)
        return grey(output, size)

    monkeypatch.setattr(cue, "_grey", record)
    drawn, start, turn = [], 0, 0
    while start < len(seen):
        drawn += [r.map for r in cue.push(seen[start : start + sizes[turn % len(sizes)]])]
        start += sizes[turn % len(sizes)]
        turn += 1
        assert 0 <= min(start, len(seen)) - len(drawn) <= cue.future
    drawn += [r.map for r in cue.finish()]
    assert len(drawn) == len(seen)
    return outputs, drawn


def pictures_of(seen: Sequence[Observation], how: Preprocessing) -> Tensor:
    return prepare_pictures(seen, how, torch.device("cpu"), torch.float32)


def of_size(name: str, size: tuple[int, int] = SIZE) -> Preprocessing:
    how = find_entry(name).preprocessing
    return Preprocessing(size[1], size[0], how.mean, how.std, how.window, how.source_index)


@pytest.fixture(scope="module")
def networks() -> Callable[[str], nn.Module]:
    made: dict[str, nn.Module] = {}

    def get(name: str, **options: Any) -> nn.Module:
        key = f"{name}{options}"
        if key not in made:
            torch.manual_seed(1)
            made[key] = create_model(name, **options)
        return made[key]

    return get


# --- published values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", case_names("saliency_cues", "*_preprocess_*"))
def test_pictures_are_prepared_as_published(name: str) -> None:
    case = Case("saliency_cues", name)
    network = name.split("_")[0]
    (about,) = case.about["inputs"]
    image = synthetic.image(about["name"], about["height"], about["width"], about["seed"])
    if network == "stavis":
        how = stavis_preprocessing(
            "corrected" if case.options.get("normalisation") == "original" else "published"
        )
    else:
        how = of_size(network, PUBLISHED_INPUT) if network == "unisal" else find_entry(network).preprocessing
    assert (how.width, how.height) == (case.options["width"], case.options["height"])
    seen = Observation(frame=Frame(0, 0.0, image), small=image, grid=(1, 1))
    every = 4 if network == "stavis" else 8
    prepared = pictures_of([seen], how)[0, :, ::every, ::every].numpy()
    expected = case.expected["frame"]
    np.testing.assert_allclose(prepared, expected, **case.about["tolerance"])
    assert np.mean(np.abs(prepared - expected) < 1e-3) > 0.99


def test_dave_maps_are_drawn_as_published() -> None:
    case = Case("saliency_cues", "dave_postprocess")
    grey = draw_dave(7.5 * case.inputs()[0].numpy()[0, 0])
    np.testing.assert_allclose(grey.astype(float), case.expected["grey"].astype(float), atol=1)
    np.testing.assert_allclose(grey / 255, case.expected["map"], atol=1 / 255 + 1e-5)


def test_stavis_maps_are_drawn_as_published() -> None:
    case = Case("saliency_cues", "stavis_postprocess")
    grey = draw_stavis(2 * case.inputs()[0].numpy()[0, 0])
    np.testing.assert_allclose(
        grey[::2, ::2].astype(float), case.expected["map"].astype(float), **case.about["tolerance"]
    )


def raw_map(case: Case, channel: int) -> NDArray[np.float32]:
    (about,) = case.about["inputs"]
    image = synthetic.image(about["name"], about["height"], about["width"], about["seed"])
    return image[..., channel].astype(np.float32) / np.float32(255)


def test_tased_maps_are_drawn_as_published() -> None:
    case = Case("saliency_cues", "tased_postprocess")
    smoothed = smooth_tased(raw_map(case, 0))[::4, ::4]
    np.testing.assert_allclose(smoothed, case.expected["map"], **case.about["tolerance"])


def test_unisal_maps_are_drawn_as_published() -> None:
    case = Case("saliency_cues", "unisal_postprocess")
    median = median_over_time(case.inputs()[0][:, :, 0]).numpy()[0]
    tolerance = case.about["tolerance"]
    np.testing.assert_allclose(median, case.expected["smoothed"][0, -1, 0], **tolerance)
    np.testing.assert_allclose(draw_unisal(median) / 255, case.expected["maps"][0, -1, 0], atol=1 / 255)


def test_vinet_maps_are_drawn_as_published_and_as_in_the_original() -> None:
    published, original = (
        Case("saliency_cues", f"vinet_postprocess_{name}") for name in ("published", "original")
    )
    grey = draw_vinet(raw_map(published, 1), (1, 1), "published")[::4, ::4]
    np.testing.assert_allclose(
        grey.astype(float), published.expected["map"].astype(float), **published.about["tolerance"]
    )
    smoothed = smooth_vinet(raw_map(original, 1), tuple(original.options["size"]))[::4, ::4]
    np.testing.assert_allclose(smoothed, original.expected["map"], **original.about["tolerance"])


def test_windows_are_assembled_as_published() -> None:
    dave = Case("saliency_cues", "dave_window_indices").expected
    for (available, valid), indices in zip(dave["available_and_valid"], dave["indices"], strict=True):
        assert published_positions(16, int(available), int(valid)) == indices.tolist()
    for name, size in (("tased", 32), ("unisal", 12)):
        expected = Case("saliency_cues", f"{name}_window_indices").expected
        for available, indices in zip(expected["available"], expected["indices"], strict=True):
            assert published_positions(size, int(available)) == indices.tolist()


def test_audio_packets_are_assembled_as_published() -> None:
    expected = Case("saliency_cues", "dave_audio_packet_indices").expected
    for count, indices, valid in zip(
        *(expected[k] for k in ("examples", "indices", "valid_frames")), strict=True
    ):
        assert published_packet(int(count), 16) == (indices.tolist(), valid)


def test_blocks_of_sound_are_read_ahead_and_an_odd_rest_is_left() -> None:
    heard = HeardSound(100, keep=20)
    heard.add(np.arange(257, dtype=np.float32), 0.0)
    blocks = BlockSound(heard, 10.4, lambda rows, rate: rows)
    # Ten frames of floor(100 / 10.4) samples from where the block's first frame begins.
    number, rows = blocks.at(0)
    assert number == 0
    assert rows is not None
    assert rows.ravel().tolist() == list(range(90))
    assert blocks.last_frame(0) == blocks.last_frame(9) == 9
    number, rows = blocks.at(10)
    assert rows is not None
    assert (number, rows[0, 0]) == (1, 96)
    # 257 - 192 = 65 samples cannot be cut into ten pieces: what was heard stays.
    number, rows = blocks.at(29)
    assert rows is not None
    assert (number, rows[0, 0]) == (2, 96)


# --- windows ---------------------------------------------------------------------------------------------


def test_published_windows_are_padded_behind_the_newest_frame() -> None:
    assert published_window(0, 16) == [0] * 16
    assert published_window(2, 16) == [1, 1, 2, *[2] * 13]
    assert published_window(20, 16) == [6, 6, *range(7, 21)]
    assert published_window(20, 16, valid=9) == [5] * 8 + list(range(6, 14))
    assert published_window(40, 32, buffer=16) == [26, 26, *range(27, 41), *[40] * 16]


def test_windows_at_the_start_may_run_backwards() -> None:
    plan = reversed_start(4)
    assert [plan.frames(k) for k in (0, 2, 3, 4)] == [[3, 2, 1, 0], [5, 4, 3, 2], [0, 1, 2, 3], [1, 2, 3, 4]]


@given(
    st.integers(1, 30),
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
    st.sampled_from(
        [window_around(16, 8), window_around(5, 4, step=3), published_plan(16), reversed_start(6)]
    ),
)
@settings(max_examples=60)
def test_every_frame_gets_its_window_once_and_in_order(count: int, sizes: list[int], plan: Any) -> None:
    windows: Windows[int] = Windows(plan)
    given_windows = []
    added = 0
    while added < count:
        for _ in range(min(sizes[added % len(sizes)], count - added)):
            windows.add(added)
            added += 1
        for k, window in windows.complete():
            given_windows.append((k, [windows.items[i] for i in window]))
        windows.forget()
        assert added - len(given_windows) <= plan.future
        assert len(windows.items) <= plan.past + plan.future + 8
    for k, window in windows.complete(ended=True):
        given_windows.append((k, [windows.items[i] for i in window]))
    expected = [np.clip(plan.frames(k), 0, count - 1).tolist() for k in range(count)]
    assert given_windows == list(enumerate(expected))


# --- the stream against plain windows -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["corrected", "published"])
@pytest.mark.parametrize("sound", [True, False], ids=["sound", "silent"])
@torch.inference_mode()
def test_dave_stream_equals_plain_windows(
    mode: Any, sound: bool, networks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, network = observations(22, sound=sound), networks("dave")
    cue = Dave(network, mode=mode, input_size=SIZE, fps=FPS, batch=2, colours="grey")
    outputs, drawn = outputs_of(cue, seen, [1, 5, 2], monkeypatch)

    pictures = pictures_of(seen, of_size("dave"))
    track = np.concatenate([o.sound for o in seen if o.sound is not None]) if sound else None
    stream = LogMelStream(RATE)
    ends = [stream.push(o.sound) for o in seen if o.sound is not None]
    buffer = np.zeros((0, 64, 64), np.float32)
    for k in (0, 1, 4, 5, 9, 16, 19, 21) if mode == "published" else (0, 3, 16, 20, 21):
        audio, valid = None, None
        window = [max(0, i) for i in range(k - 15, k + 1)]
        if sound and mode == "corrected":
            audio = torch.from_numpy(np.stack([ends[i] for i in window]))
        if mode == "published":
            if track is not None:
                # Blocks of a second lie ahead. The last, of two frames, is too short: silence takes its place.
                seconds = [track[b * RATE : (b + 1) * RATE] for b in range(k // FPS + 1)]
                seconds = [second if len(second) == RATE else np.zeros(RATE) for second in seconds]
                buffer = np.concatenate([log_mel_examples(x, RATE, FPS) for x in seconds])[-FPS:]
                indices, valid = published_packet(len(buffer), 16)
                audio = torch.from_numpy(buffer[indices])
            window = published_window(k, 16, valid=valid)
        clip = pictures[window].transpose(0, 1)[None]
        plain = network(clip, None if audio is None else audio.expand(1, 3, -1, -1, -1)).saliency[0, 0]
        np.testing.assert_allclose(outputs[k], plain.numpy(), atol=1e-4, rtol=1e-4, err_msg=f"frame {k}")
        expected = draw_dave(plain.numpy())
        if mode == "published":
            expected = resize(expected, *seen[k].frame.image.shape[:2])
        np.testing.assert_allclose(drawn[k].astype(float), expected.astype(float), atol=1)


@pytest.mark.parametrize("mode", ["corrected", "published"])
@torch.inference_mode()
def test_stavis_stream_equals_plain_windows(
    mode: Any, networks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, network = observations(19, rate=8000), networks("stavis", sample_size=32)
    cue = Stavis(network, mode=mode, fps=FPS, batch=3)
    outputs, drawn = outputs_of(cue, seen, [4, 1], monkeypatch)
    assert drawn[1].shape == ((42, 60, 3) if mode == "published" else (32, 32, 3))

    plain = create_model("stavis", sample_size=32, batch_statistics=mode == "published")
    plain.load_state_dict(network.state_dict())
    pictures = pictures_of(seen, stavis_preprocessing(mode, 32))
    track = np.concatenate([o.sound for o in seen if o.sound is not None])
    for k in (0, 5, 11, 18):
        if mode == "published":
            window = published_window(k, 16)
            # The last block has four frames: 6400 samples, which can be cut into five pieces.
            rows = track[k // FPS * 8000 : (k // FPS + 1) * 8000].reshape(FPS, -1)
            wave = windowed_waveform(rows, 8000).ravel()
            audio = np.pad(wave, (0, max(0, 48000 - len(wave))))
        else:
            window = [min(max(i, 0), 18) for i in range(k - 8, k + 8)]
            first, last = min(window), max(window)
            start, end = int(max(0, first * 1600 - 800)), int(last * 1600 + 800)
            piece = track[start : end + 1]
            audio = np.zeros(35280)
            begin = 17640 - len(piece) // 2
            audio[begin : begin + len(piece)] = piece * 256.0 * np.hanning(len(piece))
        heard = torch.from_numpy(audio.astype(np.float32))[None, None, None]
        logits = plain(pictures[window].transpose(0, 1)[None], heard).logits[0, 0]
        np.testing.assert_allclose(outputs[k], logits.numpy(), atol=1e-3, rtol=1e-3, err_msg=f"frame {k}")


@pytest.mark.parametrize(
    ("mode", "options", "window"),
    [
        ("corrected", {}, lambda k: [max(0, i) for i in range(k - 31, k + 1)]),
        ("published", {}, lambda k: published_window(k, 32, buffer=16)),
        (
            "corrected",
            {"start": "reverse"},
            lambda k: (
                [min(i, 34) for i in range(k + 31, k - 1, -1)] if k < 31 else list(range(k - 31, k + 1))
            ),
        ),
    ],
    ids=["corrected", "published", "reverse"],
)
@torch.inference_mode()
def test_tased_stream_equals_plain_windows(
    mode: Any,
    options: Any,
    window: Callable[[int], list[int]],
    networks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, network = observations(35, sound=False), networks("tased")
    cue = Tased(network, mode=mode, input_size=SIZE, batch=2, **options)
    outputs, _ = outputs_of(cue, seen, [3, 1, 8], monkeypatch)
    pictures = pictures_of(seen, of_size("tased"))
    for k in (0, 1, 17, 31, 34):
        plain = network(pictures[window(k)].transpose(0, 1)[None]).map[0].numpy()
        # Maxima closer than rounding may move a few values.
        assert np.mean(np.abs(outputs[k] - plain) < 1e-4) > 0.97


@pytest.mark.parametrize("mode", ["corrected", "published"])
@torch.inference_mode()
def test_vinet_stream_equals_plain_windows(mode: Any, networks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, network = observations(34, sound=False), networks("vinet")
    cue = Vinet(network, mode=mode, input_size=SIZE)
    outputs, drawn = outputs_of(cue, seen, [5], monkeypatch)
    assert [d.shape for d in drawn] == [o.frame.image.shape for o in seen]
    pictures = pictures_of(seen, of_size("vinet"))
    for k in (0, 2, 31, 33):
        trailing = [max(0, i) for i in range(k - 31, k + 1)]
        window = published_window(k, 32) if mode == "published" else trailing
        plain = network(pictures[window].transpose(0, 1)[None]).map[0].numpy()
        np.testing.assert_allclose(outputs[k], plain, atol=1e-4, rtol=1e-4, err_msg=f"frame {k}")


@pytest.mark.slow
@pytest.mark.parametrize("sound", [True, False], ids=["sound", "silent"])
@torch.inference_mode()
def test_avinet_stream_equals_plain_windows(
    sound: bool, networks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, network = observations(2, sound=sound), networks("avinet")
    outputs, _ = outputs_of(Avinet(network), seen, [1], monkeypatch)
    clip = pictures_of(seen, find_entry("avinet").preprocessing)[[0] * 31 + [1]].transpose(0, 1)[None]
    audio = np.zeros(70560, np.float32)
    if sound:
        piece = np.concatenate([o.sound for o in seen if o.sound is not None])[: 3200 + 1600 + 1]
        begin = 35280 - len(piece) // 2
        audio[begin : begin + len(piece)] = piece * 256.0 * np.hanning(len(piece))
    plain = network(clip, torch.from_numpy(audio)[None, None, :, None]).map[0].numpy()
    np.testing.assert_allclose(outputs[1], plain, atol=1e-4, rtol=1e-4)


UNISAL_WAYS: dict[str, tuple[dict[str, Any], Callable[[int], list[int]]]] = {
    "corrected": ({}, lambda k: [max(0, i) for i in range(k - 11, k + 1)]),
    "published": ({"mode": "published"}, lambda k: published_window(k, 12)),
    "every third frame": ({"frame_step": 3}, lambda k: [max(0, i) for i in range(k - 33, k + 1, 3)]),
    "carried": ({"carry": True, "frame_step": 2}, lambda k: list(range(k % 2, k + 1, 2))),
    "still": ({"domain": "SALICON"}, lambda k: [k]),
    "median": ({"domain": "UCFSports", "median": True}, lambda k: [max(0, i) for i in range(k - 11, k + 1)]),
}


@pytest.mark.parametrize("way", UNISAL_WAYS)
@torch.inference_mode()
def test_unisal_stream_equals_plain_windows(way: str, networks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    options, window = UNISAL_WAYS[way]
    seen, network = observations(15, sound=False), networks("unisal")
    cue = Unisal(network, input_size=(64, 96), batch=2, **options)
    outputs, _ = outputs_of(cue, seen, [3, 4], monkeypatch)
    pictures = pictures_of(seen, of_size("unisal", (64, 96)))
    for k in (0, 1, 8, 14):
        plain = network(
            pictures[window(k)][None],
            source=options.get("domain", "DHF1K"),
            target_size=outputs[k].shape,
            static=way == "still",
        ).log_maps[0, :, 0]
        plain = median_over_time(plain[None])[0] if way in ("published", "median") else plain[-1]
        np.testing.assert_allclose(outputs[k], plain.numpy(), atol=1e-3, rtol=1e-4, err_msg=f"frame {k}")


# --- what may go wrong ----------------------------------------------------------------------------------


def test_maps_do_not_depend_on_how_frames_are_grouped(networks: Any) -> None:
    seen = observations(9)
    drawn = []
    for size in (1, 4, 9):
        cue = Dave(networks("dave"), input_size=(32, 32), mode="published", fps=FPS)
        results = [r for i in range(0, 9, size) for r in cue.push(seen[i : i + size])] + cue.finish()
        drawn.append([r.map for r in results])
    for one, other, third in zip(*drawn, strict=True):
        assert np.array_equal(one, other)
        assert np.array_equal(one, third)


def test_values_that_are_no_numbers_make_a_black_map_and_are_said_once(
    networks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen = observations(3, sound=False)
    torch.manual_seed(2)
    network = create_model("unisal")
    with torch.no_grad():
        network.get_parameter("post_cnn.inv_res.conv.3.weight").fill_(float("nan"))
    cue = Unisal(network, input_size=(32, 32))
    drawn = [r.map for r in cue.push(seen)]
    assert len(drawn) == 3
    assert all(m.shape == (360, 640, 3) and not m.any() for m in drawn)
    assert cue.failures == 3
    assert caplog.text.count("not numbers") == 1


@pytest.mark.parametrize("mode", ["corrected", "published"])
def test_sound_that_stops_starts_late_or_is_no_sound_costs_nothing(mode: Any, networks: Any) -> None:
    seen = observations(12)
    odd = [
        [*seen[:5], *observations(12, sound=False)[5:]],
        [*observations(12, sound=False)[:5], *seen[5:]],
        [
            Observation(o.frame, o.small, o.grid, sound=np.full(3, np.nan, np.float32), step=o.step)
            for o in seen
        ],
        [Observation(o.frame, o.small, o.grid, sound=np.zeros(0, np.float32), step=o.step) for o in seen],
    ]
    for video in odd:
        cue = Dave(networks("dave"), input_size=(32, 32), mode=mode)
        assert len([*cue.push(video), *cue.finish()]) == 12


def test_one_frame_and_none() -> None:
    torch.manual_seed(0)
    network = create_model("unisal")
    assert Unisal(network).finish() == []  # type: ignore[arg-type]
    cue = Unisal(network, mode="published", input_size=(32, 32))  # type: ignore[arg-type]
    (drawn,) = cue.push(observations(1))
    assert drawn.map.shape == (40, 60, 3)
    assert cue.finish() == []


def test_jet_is_blue_for_nothing_and_red_for_much() -> None:
    assert colour_jet(np.array([[0, 255]], np.uint8))[0].tolist() == [[0, 0, 128], [128, 0, 0]]
    assert sigmoid(np.array([-1e4, 0, 1e4], np.float32)).tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "exact"},
        {"colours": "hot"},
        {"batch": 0},
        {"domain": "salicon"},
        {"frame_step": 0},
        {"input_size": (100, 64)},
        {"carry": True, "median": True},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Unisal(create_model("unisal"), **options)  # type: ignore[arg-type]
