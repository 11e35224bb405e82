"""From pictures to the network's input, and from its output to a map and gate scores, as published."""

from __future__ import annotations

import numpy as np
import torch

from gasp.fusion.gasp import scale_maps
from gasp.fusion.inputs import normalise_maps, stack_maps
from gasp.networks.blocks.gmu import Gates
from gasp.networks.gasp import GASPOutput, gate_scores
from gasp.weights.preprocessing import Preprocessing
from helpers import synthetic
from helpers.parity import Case

CASE = Case("gasp", "window_processing")


def test_the_window_is_the_published_one() -> None:
    given = CASE.about["inputs"][0]
    preprocessing = Preprocessing(
        height=CASE.options["inp_img_height"],
        width=CASE.options["inp_img_width"],
        mean=tuple(CASE.options["mean"]),
        std=tuple(CASE.options["std"]),
    )
    frames = []
    for t in range(CASE.options["frames_len"]):
        names = [f"{name}_{t}" for name in CASE.options["input_names"]]
        pictures = [synthetic.image(name, given["height"], given["width"], given["seed"]) for name in names]
        frames.append(
            stack_maps([picture[..., ::-1] for picture in pictures], preprocessing)
        )  # published as BGR
    window = normalise_maps(torch.from_numpy(np.stack(frames)), preprocessing)

    # Libraries that resize pictures of 8 bits may differ by a grey level: about 0.03 here.
    difference = (
        window[..., ::5, ::5].numpy() - CASE.expected["window_subsampled"].astype(np.float32)
    ).ravel()
    assert np.abs(difference).mean() < 0.01
    assert np.abs(difference).max() < 0.05
    np.testing.assert_allclose(window.mean((2, 3)), CASE.expected["window_mean"], atol=0.01)


def test_map_and_gate_scores_are_the_published_ones() -> None:
    logits, gates = (
        torch.from_numpy(synthetic.array(i["name"], tuple(i["shape"]), i["kind"], i["seed"]))
        for i in CASE.about["inputs"][1:]
    )
    scores = gate_scores(GASPOutput(logits, None, Gates(gates, gates)), len(CASE.options["input_names"]))
    assert scores is not None
    saliency = scale_maps(logits[:, 0], distribution=False)[0]
    CASE.check(saliency=saliency[::2, ::2], gate_scores=scores[0])
