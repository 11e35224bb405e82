"""The expression cue: published classes, affect and maps; what is mended; hard input."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gasp.cues.crops import as_batch, crop_face
from gasp.cues.esr9 import (
    ESR9Cue,
    ESR9Quirks,
    aggregate,
    draw_patches,
    hann_window,
    read_expressions,
)
from gasp.cues.quirks import choose_quirks
from gasp.cues.saliency import resize
from gasp.errors import UsageError
from gasp.faces.face import Box
from gasp.networks import create_model
from gasp.networks.esr9 import ESR9, ESR9Output
from helpers import synthetic
from helpers.faces_in_video import check_picture, frames_of, from_css, moving, observation, results_of, run
from helpers.parity import Case, case_names, fill

PUBLISHED = choose_quirks(ESR9Quirks, "published", {})
CORRECTED = choose_quirks(ESR9Quirks, "corrected", {})

VARIANTS: dict[str, dict[str, Any]] = {
    "map": {"aggregation": "sum"},
    "map_amean": {"aggregation": "amean"},
    "map_gmean": {"aggregation": "gmean"},
    "map_first": {"aggregation": "first"},
    "map_unfiltered": {"aggregation": "sum", "keep_all": True},
    "map_without_window": {"aggregation": "sum", "window": False},
}


class Stub(torch.nn.Module):
    """Says something of every face in no time."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, faces: torch.Tensor, *, batch_statistics: bool) -> ESR9Output:
        generator = torch.Generator().manual_seed(int(batch_statistics))
        emotions, affect, cams = (
            torch.rand(9, *shape, generator=generator) for shape in ((8,), (2,), (6, 6))
        )
        level = faces.mean((1, 2, 3)) * self.scale
        return ESR9Output(*(level.view(-1, *[1] * part.ndim) * part for part in (emotions, affect, cams)))


def stub_cue(**options: Any) -> ESR9Cue:
    return ESR9Cue(Stub(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", case_names("rendering", "esr9_map_*"))
def test_published_map(name: str) -> None:
    case = Case("rendering", name)
    about = case.about["inputs"][1]
    cams = synthetic.array(about["name"], tuple(about["shape"]), about["kind"], about["seed"])
    cams = cams * np.float32(case.options["scale"])
    (image,) = frames_of(case)
    boxes = [from_css(box) for box in case.about["boxes"]]
    seen = observation(image, boxes)
    for output, options in VARIANTS.items():
        values = [
            aggregate(cam, np.array(classes), **options)
            for cam, classes in zip(cams, case.about["classes"], strict=True)
        ]
        drawn = draw_patches(seen, list(zip(boxes, values, strict=True)), PUBLISHED)
        check_picture(case, output, drawn[..., ::-1])
        if output == "map":
            check_picture(case, "resized", resize(drawn, *case.options["size"])[..., ::-1])


def test_published_hann_window() -> None:
    case = Case("rendering", "hann_window")
    for size in (6, 7):
        np.testing.assert_allclose(hann_window(size), case.expected[f"n{size}"], **case.about["tolerance"])


@pytest.mark.parametrize("name", case_names("esr9", "faces_*"))
@torch.inference_mode()
def test_published_expressions(name: str) -> None:
    case = Case("esr9", name)
    state = {}
    for i, file in enumerate(case.about["checkpoint_files"]):
        prefix = "base." if i == 0 else f"branches.{i - 1}."
        tensors = fill(case.about[file["entries"]], file["seed"], case.about["weights"]["gain"])
        state.update({prefix + key: value for key, value in tensors.items()})
    network = create_model("esr9")
    network.load_state_dict(state)
    (image,) = frames_of(case)
    boxes = [from_css(box) for box in case.about["boxes"][0]]
    own = case.options["batch_statistics"]

    crops = [crop_face(image, box, 96) for box in boxes]
    batch = as_batch([c for c in crops if c is not None], torch.device("cpu"), torch.float32)
    expressions = read_expressions(network(batch, batch_statistics=own))
    for face, expression in enumerate(expressions):
        assert expression is not None
        np.testing.assert_array_equal(expression.classes, case.expected["classes"][face])
        np.testing.assert_allclose(
            expression.affect, case.expected["affect"][face], **case.about["tolerance"]
        )
        np.testing.assert_allclose(
            expression.gradcam, case.expected["gradcam"][face], **case.about["tolerance"]
        )

    seen = observation(image, boxes)
    assert isinstance(network, ESR9)
    (result,) = ESR9Cue(network, own_statistics=own).push([seen])
    for face, one in enumerate(seen.faces):
        assert result.found[one.track_id]["valence"] == pytest.approx(
            case.expected["affect"][face, 9, 0], abs=2e-3
        )
        assert result.found[one.track_id]["arousal"] == pytest.approx(
            case.expected["affect"][face, 9, 1], abs=2e-3
        )


@pytest.mark.parametrize("mode", ["published", "corrected"])
def test_maps_do_not_depend_on_grouping(mode: Any) -> None:
    maps = [run(stub_cue(mode=mode), moving(9), batch) for batch in (1, 4, 9)]
    for other in maps[1:]:
        assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(other, maps[0], strict=True)) < 0.1


def test_every_face_is_told_what_was_found() -> None:
    video = moving(3)
    results = results_of(stub_cue(), video)
    assert all(r.map.any() for r in results)
    for seen, result in zip(video, results, strict=True):
        assert list(result.found) == [face.track_id for face in seen.faces]
        for found in result.found.values():
            assert found["expression"] in (
                "Neutral",
                "Happy",
                "Sad",
                "Surprise",
                "Fear",
                "Disgust",
                "Anger",
                "Contempt",
            )
            assert 0 < float(found["expression_score"]) < 1
            assert 0 <= float(found["arousal"]) <= 1
            assert np.isfinite(float(found["valence"]))


def drawn(boxes: list[Box], values: float = 0.6, height: int = 60, **switches: bool) -> NDArray[np.int64]:
    quirks = choose_quirks(ESR9Quirks, "corrected", {"frame_size": True, **switches})
    seen = observation(np.zeros((height, 80, 3), np.uint8), boxes)
    ramp = (values * np.linspace(0, 1, 36).reshape(6, 6)).astype(np.float32)
    return draw_patches(seen, [(box, ramp) for box in boxes], quirks).astype(np.int64)


@pytest.mark.parametrize(
    ("name", "boxes", "values"),
    [
        ("wraps", [Box(10, 10, 40, 40)], 1.4),
        ("grey_alpha", [Box(10, 10, 40, 40)], 0.6),
        ("doubled_overlaps", [Box(10, 10, 40, 40), Box(20, 20, 50, 50)], 0.6),
        ("squeezed", [Box(60, 10, 100, 50)], 0.6),
    ],
)
def test_every_switch_changes_its_part_of_the_map(name: str, boxes: list[Box], values: float) -> None:
    plain = drawn(boxes, values)
    assert np.abs(drawn(boxes, values, **{name: True}) - plain).max() > 30


def test_where_nothing_is_expressive_the_map_is_black_when_corrected() -> None:
    assert not drawn([Box(10, 10, 40, 40)], 0.0).any()
    assert drawn([Box(10, 10, 40, 40)], 0.0, grey_alpha=True).any()


def test_a_cut_box_shows_its_own_part() -> None:
    whole, cut = drawn([Box(20, 10, 60, 50)]), drawn([Box(60, 10, 100, 50)])
    np.testing.assert_allclose(cut[10:50, 60:80], whole[10:50, 20:40], atol=8)


def test_published_size_is_that_of_the_frame() -> None:
    seen = moving(1)
    assert run(stub_cue(mode="published"), seen)[0].shape == (72, 96, 3)
    assert run(stub_cue(), seen)[0].shape == (36, 48, 3)


def test_scaled_gradcam_never_exceeds_one() -> None:
    cams = np.random.default_rng(0).random((9, 6, 6)).astype(np.float32) * 7
    classes = np.array([1, 1, 2, 1, 1, 0, 1, 1, 1, 1])
    assert aggregate(cams, classes, "amean", window=False).max() > 1
    assert aggregate(cams, classes, "amean", window=False, scaled=True).max() <= 1
    assert np.isfinite(aggregate(np.zeros_like(cams), classes, "gmean", scaled=True)).all()


def test_the_mode_decides_which_statistics_count() -> None:
    for mode, own in (("published", True), ("corrected", False)):
        assert stub_cue(mode=mode).quirks.own_statistics is own
    (one,) = results_of(stub_cue(), moving(1))
    (other,) = results_of(stub_cue(own_statistics=True), moving(1))
    assert one.found[1] != other.found[1]


@pytest.mark.parametrize("mode", ["published", "corrected"])
@pytest.mark.parametrize(
    "boxes",
    [
        [],
        [Box(-20, -30, 8, 9), Box(90, 60, 140, 200)],
        [Box(5, 5, 6, 6)],
        [Box(5, 5, 5, 5), Box(200, 200, 220, 220), Box(float("nan"), 0, 5, 5)],
        [Box(95.2, 71.3, 3000, 4000)],
        [Box(k, k, k + 9, k + 9) for k in range(40)],
    ],
)
def test_hard_boxes(mode: Any, boxes: list[Box]) -> None:
    video = [observation(np.full((72 + i, 96, 3), 90, np.uint8), boxes) for i in range(3)]
    maps = run(stub_cue(mode=mode), video, batch=2)
    pictures = [o.frame.image if mode == "published" else o.small for o in video]
    assert [m.shape for m in maps] == [p.shape for p in pictures]


def test_numbers_that_are_none_cost_only_their_face(caplog: pytest.LogCaptureFixture) -> None:
    cue = stub_cue()
    with torch.no_grad():
        cue.network.scale.fill_(float("nan"))
    video = moving(3)
    maps = run(cue, video)
    assert len(maps) == 3
    assert not any(m.any() for m in maps)
    assert cue.failures == sum(len(o.faces) for o in video)
    assert caplog.text.count("not numbers") == 1


@pytest.mark.parametrize("options", [{"mode": "old"}, {"aggregation": "max"}, {"wrap": True}])
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be one of"):
        stub_cue(**options)


def test_every_quirk_is_described() -> None:
    for field in fields(ESR9Quirks):
        assert f"``{field.name}``" in (ESR9Quirks.__doc__ or "")
