"""Networks of the social cues: published values, names, parts against the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gasp.errors import InputError, UsageError
from gasp.networks import create_model
from gasp.networks.gaze360 import Gaze360, gaze_direction
from gasp.networks.videogaze import VideoGaze, gaze_cone, project_cone
from gasp.weights import load_checkpoint
from helpers.parity import Case, case_names, fill


def loaded(model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    assert list(model.state_dict()) == list(state)
    model.load_state_dict(state)
    return model


@torch.inference_mode()
def test_gaze360_gives_published_values() -> None:
    case = Case("gaze360", "network")
    state = {name.removeprefix("module."): value for name, value in case.state_dict().items()}
    model = loaded(create_model("gaze360", **case.options), state)
    assert isinstance(model, Gaze360)
    (faces,) = case.inputs()

    output = model(faces)

    direction = gaze_direction(output.angles)
    display = torch.cat([output.angles.flip(1), torch.ones(2, 1)], 1)
    features = torch.stack([model.embed(crop) for crop in faces.unbind(1)], 1)
    case.check(
        angles=output.angles, sigma=output.sigma, cartesian=direction, display=display, features=features
    )
    torch.testing.assert_close(model.head(features), output, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(direction.norm(dim=1), torch.ones(2))


def test_gaze_direction_axes() -> None:
    quarter = torch.pi / 2
    angles = torch.tensor([[0.0, 0.0], [quarter, 0.0], [0.0, quarter], [2 * quarter, 0.0]])
    expected = torch.tensor([[0.0, 0, -1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    torch.testing.assert_close(gaze_direction(angles), expected, atol=1e-6, rtol=0)


@torch.inference_mode()
def test_videogaze_gives_published_values() -> None:
    case = Case("videogaze", "network")
    # The classifiers are 700 megabytes that no output depends on.
    used = [
        e for e in case.about["checkpoint"] if "classifier" not in e[0] and "last_convolution" not in e[0]
    ]
    case.about["checkpoint"] = used
    model = loaded(create_model("videogaze", **case.options), case.state_dict())
    assert isinstance(model, VideoGaze)
    source, target, face, eyes = case.inputs()

    output = model(source, target, face, eyes)

    case.check(heatmap=output.heatmap, in_frame=output.in_frame)
    scene, frame, head = model.encode_scene(source), model.encode_frame(target), model.encode_head(face)
    transformation = model.transformation_path(scene, frame.scene)
    cone = project_cone(transformation, head, eyes)
    case.check(
        saliency=frame.saliency.unflatten(1, (13, 13)),
        head=head,
        rotation=transformation.rotation,
        translation=transformation.translation,
        plane_gain=transformation.gain,
        aperture=gaze_cone(head)[1],
        cone=cone,
        logits=model.heatmap_logits(transformation.gain[:, None] * cone, frame.saliency),
    )
    torch.testing.assert_close(model.encode_frame(source).scene, scene)
    torch.testing.assert_close(model.follow(scene, frame, head, eyes), output)


def test_videogaze_loads_the_published_file_and_leaves_out_what_it_does_not_use(tmp_path: Path) -> None:
    zero = torch.zeros(1)  # one number in the file, whatever the shape
    state = {name: zero.expand(shape) for name, shape in Case("videogaze", "network").about["checkpoint"]}
    state["linear_final.bias"] = torch.arange(400.0)
    torch.save({"epoch": 1, "state_dict": state, "best_prec1": 0.0}, tmp_path / "model.pth.tar")
    model = load_checkpoint(create_model("videogaze"), tmp_path / "model.pth.tar")
    assert model.linear_final.bias[399] == 399
    assert sum(p.numel() for p in model.parameters()) < 14_000_000


def test_gaze360_loads_the_published_file(tmp_path: Path) -> None:
    case = Case("gaze360", "network")
    torch.save({"epoch": 1, "state_dict": case.state_dict(), "best_prec1": 0.0}, tmp_path / "model.pth.tar")
    model = load_checkpoint(create_model("gaze360"), tmp_path / "model.pth.tar")
    for name, value in case.state_dict().items():
        assert torch.equal(model.state_dict()[name.removeprefix("module.")], value)


def test_esr9_loads_the_published_folder(tmp_path: Path) -> None:
    case = Case("esr9", "network_batch_statistics")
    for file in case.about["checkpoint_files"]:
        torch.save(fill(case.about[file["entries"]], file["seed"]), tmp_path / file["file"])
    model = load_checkpoint(create_model("esr9"), tmp_path)
    for name, value in esr9_state(case).items():
        assert torch.equal(model.state_dict()[name], value)


def esr9_state(case: Case) -> dict[str, Tensor]:
    """The ten files of a case as one state dict."""
    state = {}
    for i, file in enumerate(case.about["checkpoint_files"]):
        prefix = "base." if i == 0 else f"branches.{i - 1}."
        tensors = fill(case.about[file["entries"]], file["seed"], case.about["weights"]["gain"])
        state.update({prefix + name: value for name, value in tensors.items()})
    return state


@pytest.mark.parametrize("name", case_names("esr9", "network_*"))
@torch.inference_mode()
def test_esr9_gives_published_values(name: str) -> None:
    case = Case("esr9", name)
    model = loaded(create_model("esr9", **case.options), esr9_state(case))
    output = model(*case.inputs())
    case.check(emotions=output.emotions, affect=output.affect, gradcam=output.gradcam)


@pytest.mark.parametrize("batch_statistics", [True, False])
@torch.inference_mode()
def test_esr9_treats_every_face_on_its_own(batch_statistics: bool) -> None:
    torch.manual_seed(1)
    model = create_model("esr9", branches=2, batch_statistics=batch_statistics)
    faces = torch.rand(3, 3, 96, 96)
    together = model(faces)
    alone = model(faces[1:2])
    for part, whole in zip(alone, together, strict=True):
        torch.testing.assert_close(part, whole[1:2], atol=1e-5, rtol=1e-5)


def test_esr9_gradcam_is_what_backpropagation_gives() -> None:
    torch.manual_seed(2)
    branch = create_model("esr9", branches=1).branches[0]
    maps = torch.rand(2, 512, 6, 6, requires_grad=True)
    logits = branch.fc(maps.mean((2, 3)))
    (gradient,) = torch.autograd.grad(logits.amax(1).sum(), maps)
    cam = (gradient.mean((2, 3), keepdim=True) * maps).sum(1)
    cam = cam - cam.amin((1, 2), keepdim=True)
    torch.testing.assert_close(branch._gradcam(maps, logits.argmax(1)), cam, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("gaze360", [(1, 6, 3, 224, 224)]),
        ("gaze360", [(7, 3, 224, 224)]),
        ("videogaze", [(1, 3, 227, 227), (1, 3, 227, 227), (1, 3, 224, 224), (1, 2)]),
        ("videogaze", [(1, 3, 227, 227), (1, 3, 227, 227), (1, 3, 227, 227), (1, 3)]),
        ("esr9", [(1, 1, 96, 96)]),
    ],
)
@torch.inference_mode()
def test_wrong_shapes_are_explained(name: str, shapes: list[tuple[int, ...]]) -> None:
    model = create_model(name)
    with pytest.raises(InputError, match="must be floats of shape"):
        model(*(torch.zeros(shape) for shape in shapes))


def test_bytes_are_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        create_model("esr9", branches=1)(torch.zeros(1, 3, 96, 96, dtype=torch.uint8))


@pytest.mark.parametrize(("name", "options"), [("esr9", {"branches": 0}), ("videogaze", {"side": 0})])
def test_wrong_options_are_explained(name: str, options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        create_model(name, **options)
