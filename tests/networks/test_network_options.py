"""Options of the wrong type or size are told in words, before anything is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gasp import create_model
from gasp.errors import UsageError

NETWORK = "SequenceGASPDAMEncGMUALSTMConv"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modalities": "x"}, "modalities must be a whole number, not 'x'"),
        ({"modalities": 1.5}, "modalities must be a whole number, not 1.5"),
        ({"modalities": True}, "modalities must be a whole number, not True"),
        ({"modalities": None}, "modalities must be a whole number, not None"),
        ({"modalities": [2]}, "modalities must be a whole number"),
        ({"modalities": 10**8}, "modalities = 100000000 is too large"),
        ({"modalities": 10**6000}, "modalities = a number of thousands of digits is too large"),
        ({"modalities": 5000}, "modalities must be at most 256"),
        ({"sequence_len": 10**9}, "sequence_len = 1000000000 is too large"),
        ({"sequence_len": 1e9}, "sequence_len must be a whole number or none"),
        ({"sequence_len": 60_000}, "sequence_len must be at most 4096"),
        ({"encoder_widths": 5}, "encoder_widths must be a list of whole numbers or none, not 5"),
        ({"encoder_widths": "4444"}, "encoder_widths must be a list"),
        ({"encoder_widths": [4, "a"]}, "encoder_widths must be a list of whole numbers"),
        ({"encoder_widths": [4] * 1000}, "encoder_widths has 1000 entries"),
        ({"encoder": 5}, "encoder must be a text or none"),
        ({"activation": "tanh"}, "activation must be 'none' or 'relu'"),
        ({"sequence_norm": "yes"}, "sequence_norm must be true or false"),
        ({"encoder_widths": []}, "encoder_widths needs at least two"),
    ],
)
def test_wrong_options_of_gasp(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        create_model(NETWORK, **options)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("glance", {"depths": [60_000] * 4}),
        ("glance", {"depths": [1, 2]}),
        ("glance", {"widths": [4, 4]}),
        ("esr9", {"branches": 60_000}),
        ("dave", {"frames_len": "8"}),
        ("stavis", {"sample_size": 32.0}),
        ("unisal", {"target_size": "large"}),
        ("videogaze", {"side": "20"}),
    ],
)
def test_wrong_options_of_others(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        create_model(name, **options)


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    model = create_model(
        "GASPEncConv", modalities=np.int64(2), encoder_widths=(4, 4, 4, 4), latent_channels=4
    )
    assert model.modalities == 2
