from __future__ import annotations

import numpy as np
import pytest
import torch

from gasp.cues.mfcc import mfcc, mfcc_rows, window_and_hop
from gasp.errors import InputError
from gasp.networks import create_model
from gasp.networks.light_asd import LightASD
from gasp.networks.light_asd_stream import DELAY, SOUND_DELAY, FaceEncoder, FaceStream, SoundStream
from gasp.weights import load_checkpoint
from helpers import synthetic
from helpers.parity import Case, case_names


def waveform(
    name: str, count: int, seed: int, *, kind: str = "int16 bursts", scale: float = 2000
) -> np.ndarray:
    """The sound of a case, int16."""
    noise = synthetic.array(name, (count,), "normal", seed)
    if kind == "int16 bursts":
        noise = noise * (np.sin(2 * np.pi * 3 * np.arange(count) / 16000) > 0)
    return np.clip(np.round(np.float32(scale) * noise), -32768, 32767).astype(np.int16)


def inputs_of(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """Grey faces and sound features."""
    (faces, sound) = case.about["inputs"]
    count, frames = faces["shape"][:2]
    pictures = [
        [synthetic.image(f"face{b}_{t}", 112, 112, faces["seed"])[..., 1] for t in range(frames)]
        for b in range(count)
    ]
    features = [
        mfcc(waveform(f"sound{b}", sound["shape"][1], sound["seed"]))[: 4 * frames] for b in range(count)
    ]
    return torch.from_numpy(np.array(pictures)), torch.from_numpy(np.array(features)).float()


@pytest.mark.parametrize("name", ["bursts", "noise", "faint", "short", "silence", "thirty", "film"])
def test_mfcc_gives_published_values(name: str) -> None:
    case = Case("light_asd", "mfcc")
    (given,) = (one for one in case.about["inputs"] if one["name"] == name)
    count = given["shape"][0]
    sound = (
        np.zeros(count, np.int16)
        if given["kind"] == "zeros"
        else waveform(name, count, given["seed"], kind=given["kind"], scale=given["scale"])
    )
    found = mfcc(sound, frames_per_second=given["frames_per_second"])
    np.testing.assert_allclose(found, case.expected[name], **case.about["tolerance"])


def test_no_sound_has_no_rows() -> None:
    assert mfcc(np.zeros(0, np.int16)).shape == (0, 13)


@pytest.mark.parametrize("name", case_names("light_asd", "network_*"))
@torch.inference_mode()
def test_light_asd_gives_published_values(name: str, tmp_path) -> None:
    case = Case("light_asd", name)
    torch.save(case.state_dict(), tmp_path / "light_asd.model")
    model = load_checkpoint(create_model("light_asd"), tmp_path / "light_asd.model")
    assert isinstance(model, LightASD)
    assert list(model.state_dict()) == list(case.state_dict())
    faces, features = inputs_of(case)

    output = model(faces, features)

    sound, seen = model.embed_sound(features), model.embed_faces(faces)
    case.check(
        mfcc=features[:, ::3],
        audio_embedding=sound[..., ::8],
        visual_embedding=seen[..., ::8],
        **output._asdict(),
    )
    for whole, apart in zip(output, model.detect(seen, sound), strict=True):
        torch.testing.assert_close(apart, whole)


@torch.inference_mode()
def test_how_far_embeddings_see() -> None:
    torch.manual_seed(0)
    model = create_model("light_asd")
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.bias.data.fill_(0.5)
    faces, features = torch.rand(1, 16, 112, 112) * 255, torch.randn(1, 64, 13)
    other = faces.clone()
    other[:, 8] = 0
    touched = (model.embed_faces(other) != model.embed_faces(faces)).any(-1)[0].nonzero().flatten()
    assert touched.tolist() == list(range(2, 15))
    rows = features.clone()
    rows[:, 32] = 9
    touched = (model.embed_sound(rows) != model.embed_sound(features)).any(-1)[0].nonzero().flatten()
    assert touched.min() >= 4
    assert touched.max() <= 12


@pytest.mark.parametrize(
    ("faces", "features", "said"),
    [
        ((1, 2, 112, 100), (1, 8, 13), "faces"),
        ((1, 2, 112, 112), (1, 8, 12), "features"),
        ((1, 2, 112, 112), (1, 4, 13), "5 to 8 rows"),
        ((1, 2, 112, 112), (1, 9, 13), "5 to 8 rows"),
        ((2, 2, 112, 112), (1, 8, 13), "5 to 8 rows"),
    ],
)
def test_wrong_shapes_are_explained(faces: tuple[int, ...], features: tuple[int, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        create_model("light_asd")(torch.zeros(faces), torch.zeros(features))


@pytest.fixture(scope="module")
def lively() -> LightASD:
    """The network with the weights of a parity case, which let values through."""
    network = create_model("light_asd").eval()
    network.load_state_dict(Case("light_asd", "network_one").state_dict())
    return network


@pytest.mark.parametrize("sizes", [[1] * 13, [8, 5], [13], [2, 1, 10]])
@torch.inference_mode()
def test_streamed_faces_are_the_whole_clip(sizes: list[int], lively: LightASD) -> None:
    faces = torch.randint(0, 256, (13, 112, 112), dtype=torch.uint8)
    stream = FaceStream(FaceEncoder(lively))
    pieces = [stream.push(piece) for piece in faces.split(sizes)]
    assert len(torch.cat(pieces)) == 13 - DELAY
    torch.testing.assert_close(
        torch.cat([*pieces, stream.finish()]),
        lively.embed_faces(faces[None].float())[0],
        atol=1e-4,
        rtol=1e-4,
    )


@pytest.mark.parametrize("frames", [1, 3, 7])
@torch.inference_mode()
def test_short_streams_too(frames: int, lively: LightASD) -> None:
    faces = torch.rand(frames, 112, 112) * 255
    stream = FaceStream(FaceEncoder(lively))
    streamed = torch.cat([stream.push(faces), stream.finish()])
    torch.testing.assert_close(streamed, lively.embed_faces(faces[None])[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sizes", [[1] * 20, [8, 8, 4], [20]])
@torch.inference_mode()
def test_streamed_sound_is_the_whole_clip(sizes: list[int], lively: LightASD) -> None:
    rows = torch.randn(20 * 4, 13) * 10
    stream = SoundStream(lively)
    pieces = [stream.push(piece) for piece in rows.split([4 * size for size in sizes])]
    assert len(torch.cat(pieces)) == 20 - SOUND_DELAY
    torch.testing.assert_close(
        torch.cat([*pieces, stream.finish()]), lively.embed_sound(rows[None])[0], atol=1e-4, rtol=1e-4
    )


def test_rows_of_a_piece_are_those_of_the_whole() -> None:
    sound = waveform("bursts", 16000, 5)
    window, hop = window_and_hop(25.0)
    whole = mfcc(sound)
    np.testing.assert_allclose(mfcc_rows(sound[4 * hop - 1 :], 4, window, hop), whole[4:8])
    np.testing.assert_allclose(mfcc_rows(np.append(0, sound), 4, window, hop), whole[:4])
    assert mfcc_rows(np.zeros(0), 4, window, hop).shape == (4, 13)
