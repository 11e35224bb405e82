"""Who speaks, as Light-ASD tells it while the video goes on: what the whole clip gives, gaps, cuts, rates, no sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gasp.cues.cue import CueResult
from gasp.cues.mfcc import mfcc
from gasp.cues.observation import Observation
from gasp.cues.speaking_asd import FUTURE, SMOOTHED, Beat, SpeakingASD, grey_face
from gasp.cues.voice import VoiceActivity
from gasp.errors import UsageError
from gasp.faces.face import Box, Face
from gasp.networks import create_model
from gasp.networks.light_asd import LightASD
from gasp.video.frames import Frame
from helpers.observations import speech, texture, tone
from helpers.parity import Case

LEFT, RIGHT = Box(10, 12, 58, 60), Box(90, 10, 138, 62)
RATE = 16000


@pytest.fixture(scope="module")
def network() -> LightASD:
    """With the weights of a parity case, which let values through."""
    network = create_model("light_asd")
    network.load_state_dict(Case("light_asd", "network_one").state_dict())
    return network


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a voice in every sound: what the network says is left as it is."""
    monkeypatch.setattr(VoiceActivity, "step", lambda *_: 1.0)


def talk(
    frames: int,
    *,
    fps: float = 25,
    sound: NDArray[np.float32] | None = None,
    rate: int = RATE,
    boxes: Sequence[Box] = (LEFT,),
) -> list[Observation]:
    """A video of faces on a pattern that changes with every frame."""
    places = [round(k / fps * rate) for k in range(frames + 1)]
    seen = []
    for k in range(frames):
        image = texture(72, 150, seed=k)
        faces = [Face(i, box, 0.9) for i, box in enumerate(boxes, 1)]
        seen.append(
            Observation(
                frame=Frame(k, k / fps, image),
                small=image,
                grid=(18, 38),
                faces=faces,
                sound=None if sound is None else sound[places[k] : places[k + 1]],
                sound_rate=rate,
                step=1 / fps,
                number=k,
                start=0.0,
            )
        )
    return seen


def run(
    network: LightASD, seen: Sequence[Observation], batch: int = 8, *, fps: float = 25, **options: Any
) -> list[CueResult]:
    cue = SpeakingASD(network, **options)
    cue.begin(1 / fps)
    results: list[CueResult] = []
    for start in range(0, len(seen), batch):
        results += cue.push(seen[start : start + batch])
        assert len(results) == max(0, min(start + batch, len(seen)) - cue.future)
    return results + cue.finish()


def said(results: Sequence[CueResult], track_id: int = 1) -> list[float | None]:
    return [result.found.get(track_id, {}).get("speaking") for result in results]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("fps", "beat", "past", "future"),
    [
        (25, Beat(1, 1, 25.0), 56, 12),
        (30, Beat(1, 1, 30.0), 56, 12),
        (50, Beat(2, 1, 25.0), 113, 24),
        (60, Beat(2, 1, 30.0), 113, 24),
        (38, Beat(1, 1, 38.0), 56, 12),
        (12.5, Beat(1, 2, 25.0), 28, 6),
        (18, Beat(1, 2, 36.0), 28, 6),
        (10, Beat(1, 2, 20.0), 28, 6),
        (5, Beat(1, 5, 25.0), 12, 3),
        (1, Beat(1, 25, 25.0), 3, 1),
    ],
)
def test_the_pace_follows_the_frame_rate(
    fps: float, beat: Beat, past: int, future: int, network: LightASD
) -> None:
    assert Beat.of(1 / fps) == beat
    cue = SpeakingASD(network)
    cue.begin(1 / fps)
    assert (cue.past, cue.future) == (past, future)
    beats = [b for number in range(200) for b in beat.beats(number)]
    assert beats == list(range(len(beats)))


@pytest.mark.usefixtures("heard")
def test_scores_are_those_of_the_network_on_the_clip(network: LightASD) -> None:
    frames = 18
    sound = speech(frames / 25)
    sound[-1:] = 0
    seen = talk(frames, sound=sound)
    crops = [grey_face(one.frame.image, LEFT, 40) for one in seen]
    features = mfcc(32768 * np.append(sound, np.zeros(240, np.float32)))[: 4 * frames]
    expected = []
    with torch.inference_mode():
        faces = network.embed_faces(torch.from_numpy(np.array(crops))[None].float())
        hears = network.embed_sound(torch.from_numpy(features)[None].float())
        for k in range(frames):
            stop = min(frames, k + FUTURE + 1)
            speaks = network.detect(faces[:, :stop], hears[:, :stop]).logits.softmax(2)[0, :, 1]
            expected.append(float(speaks[max(0, k - SMOOTHED[0]) : k + SMOOTHED[1] + 1].mean()))
    assert np.ptp(expected) > 0.01
    assert said(run(network, seen)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(("fps", "frames"), [(25, 24), (50, 34), (10, 14)])
@pytest.mark.parametrize("sound", [True, False])
def test_calls_may_hold_any_number_of_frames(fps: float, frames: int, sound: bool, network: LightASD) -> None:
    seen = talk(frames, fps=fps, sound=speech(frames / fps) if sound else None, boxes=(LEFT, RIGHT))
    seen[5] = replace(seen[5], faces=seen[5].faces[1:])
    seen[9] = replace(seen[9], cut=True)
    one, several = (run(network, seen, batch, fps=fps) for batch in (1, 7))
    assert len(one) == len(several) == frames
    for k in (1, 2):
        given, expected = said(several, k), said(one, k)
        assert [g is None for g in given] == [e is None for e in expected]
        assert [g or 0 for g in given] == pytest.approx([e or 0 for e in expected], abs=1e-5)
    assert max(np.abs(a.map.astype(int) - b.map).max() for a, b in zip(one, several, strict=True)) <= 1


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(("fps", "rate"), [(25, RATE), (25, 44100), (10, RATE), (50, RATE)])
def test_begun_in_the_middle(fps: float, rate: int, network: LightASD) -> None:
    cue = SpeakingASD(network)
    cue.begin(1 / fps)
    assert cue.past is not None
    begin, wanted = 3, 3 + cue.past
    frames = wanted + cue.future + 2
    sound = np.interp(np.arange(0, frames / fps, 1 / rate), np.arange(RATE * 6) / RATE, speech(6))
    seen = talk(frames, fps=fps, sound=sound.astype(np.float32), rate=rate)
    whole, resumed = run(network, seen, fps=fps), run(network, seen[begin:], fps=fps)
    assert np.ptp([s or 0 for s in said(whole)]) > 0.01
    assert said(resumed)[wanted - begin :] == pytest.approx(said(whole)[wanted:], abs=1e-5)


@pytest.mark.parametrize("kind", ["gap", "cut"])
def test_a_face_begins_anew_after_gaps_and_cuts(kind: str, network: LightASD) -> None:
    seen = talk(24)
    if kind == "gap":
        seen[9] = replace(seen[9], faces=[])
    else:
        seen[10] = replace(seen[10], cut=True)
    scores = said(run(network, seen))
    assert (scores[9] is None) == (kind == "gap")
    assert scores[10:] == pytest.approx(said(run(network, seen[10:])), abs=1e-5)
    assert scores[:9] == pytest.approx(said(run(network, seen[: 9 if kind == "gap" else 10]))[:9], abs=1e-5)


def test_a_cut_between_beats_leaves_no_face_of_the_shot_before(network: LightASD) -> None:
    seen = talk(12, fps=50)
    seen[5] = replace(seen[5], cut=True)
    assert [score is None for score in said(run(network, seen, fps=50))] == [k == 5 for k in range(12)]


def test_without_sound_the_lips_alone_count(network: LightASD) -> None:
    seen = talk(14)
    with torch.inference_mode():
        crops = torch.from_numpy(np.array([grey_face(one.frame.image, LEFT, 40) for one in seen]))
        faces = network.embed_faces(crops[None].float())
        lips = network.detect(faces, torch.zeros_like(faces)).visual_logits.softmax(2)[0, :, 1]
    expected = [float(lips[max(0, k - SMOOTHED[0]) : k + SMOOTHED[1] + 1].mean()) for k in range(14)]
    assert said(run(network, seen)) == pytest.approx(expected, abs=1e-4)


def test_nobody_speaks_where_there_is_no_voice(network: LightASD) -> None:
    results = run(network, talk(30, sound=tone(1.2)))
    assert max(s or 0 for s in said(results)) < 0.05
    assert max(result.map.max() for result in results) < 13


def test_maps_show_the_scores(network: LightASD) -> None:
    seen = talk(8, boxes=(LEFT, RIGHT))
    for result in run(network, seen):
        assert result.map.shape == (18, 38)
        for box, track_id in ((LEFT, 1), (RIGHT, 2)):
            x, y = box.centre
            assert result.map[int(y / 4), int(x / 4)] == pytest.approx(
                255 * float(result.found[track_id]["speaking"]), rel=0.05, abs=2
            )


@pytest.mark.parametrize(
    "box", [Box(10, 10, 49, 49), Box(400, 10, 460, 60), Box(10, 10, 10, 70), Box(np.nan, 1, 50, 50)]
)
def test_faces_that_cannot_be_read_have_no_score(box: Box, network: LightASD) -> None:
    for result in run(network, talk(3, boxes=(box,))):
        assert not result.found
        assert not result.map.any()
    assert said(run(network, talk(3, boxes=(Box(10, 10, 49, 49),)), smallest=30))[0] is not None


def test_nobody_there(network: LightASD) -> None:
    results = run(network, talk(20, boxes=(), sound=speech(1)))
    assert len(results) == 20
    assert not any(result.map.any() or result.found for result in results)


def test_values_that_are_not_numbers_are_left_out(network: LightASD) -> None:
    broken = create_model("light_asd")
    broken.lossV.FC.bias.data.fill_(torch.nan)
    cue = SpeakingASD(broken)
    results = [*cue.push(talk(3)), *cue.finish()]
    assert cue.failures == 3
    assert not any(result.found or result.map.any() for result in results)


def test_there_is_no_published_mode(network: LightASD) -> None:
    with pytest.raises(UsageError, match="no mode 'published'"):
        SpeakingASD(network, mode="published")
