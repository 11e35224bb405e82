"""Networks as files for other programs: ONNX, and PyTorch's own exported programs; checked against eager.

Shapes are fixed to the published ones with a batch of one. Outputs keep their names; those that are None are left
out.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gasp.errors import GaspError, UsageError, WeightsError
from gasp.networks.table import find_row
from gasp.weights.open import open_weights
from gasp.work.files import replacing

FORMATS = ("onnx", "torch-export")

Run = Callable[[Sequence[Tensor]], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Exported:
    """What was written, and how far it is from eager: largest absolute difference of each output."""

    path: Path
    differences: dict[str, float]


def export_weights(
    name: str,
    path: str | Path,
    *,
    form: str = "onnx",
    checkpoint: str | Path | None = None,
    random: bool = False,
) -> Exported:
    """:func:`export` the network of published or packaged weights.

    Args:
        name: as :func:`~gasp.weights.open.open_weights` takes it.
        path: the file that is written.
        form: one of :data:`FORMATS`.
        checkpoint: a file with weights other than the published ones.
        random: leave the weights random, to try the format.

    Raises:
        UsageError: the name is unknown, or its file is one for another program already.
        WeightsError: the weights are not on this computer, or do not fit.
    """
    weights = open_weights(name, must_be_here=False)
    network = weights.network
    if network is None:
        raise UsageError(f"{name} is published as ONNX; `gasp download {name}` fetches it.")
    if checkpoint is not None:
        weights = replace(weights, path=Path(checkpoint))
    if random:
        options = weights.options or {}
        model = replace(weights, options=options).make()
    elif weights.path is None:
        raise WeightsError(
            f"The weights of {name} are not here. Run `gasp download {name}`, name a file with "
            "--checkpoint, or pass --random for random weights."
        )
    else:
        options = weights.read_options()
        model = replace(weights, options=options).load()
    return export(model, path, network=network, options=options, form=form)


def export(
    model: nn.Module,
    path: str | Path,
    *,
    network: str,
    options: Mapping[str, Any] | None = None,
    form: str = "onnx",
    tolerance: float = 1e-3,
) -> Exported:
    """Write ``model``, made by ``create_model(network, **options)``, as a file of ``form`` "onnx" or
    "torch-export".

    The written file is read back and run on random inputs; where an output differs from eager by more than
    ``tolerance`` (relative to its largest value) :class:`~gasp.errors.GaspError` is raised and no file
    left. ONNX needs the packages of the extra ``export``.
    """
    if form not in FORMATS:
        raise UsageError(f"There is no export format {form!r}; there are: {', '.join(FORMATS)}.")
    path, inputs = Path(path), example_inputs(network, options or {})
    named = _Named(model).eval()
    with torch.no_grad():
        expected = {name: tensor.numpy() for name, tensor in named(*inputs).items()}
    with replacing(path) as temporary:
        with _silence(), torch.no_grad():
            try:
                run = _WRITERS[form](named, inputs, temporary, list(expected))
                actual = run(inputs)
            except (GaspError, OSError):
                raise
            except Exception as error:
                reason = " ".join(str(error).split())[:300]
                raise GaspError(f"{network} cannot be exported as {form}: {reason}") from error
        differences = _compare(network, expected, actual, tolerance)
    return Exported(path, differences)


def example_inputs(network: str, options: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Random inputs of the published shapes (0..1), a batch of one; always the same."""
    shapes = find_row(network).inputs(options)
    if not shapes:
        raise UsageError(f"The network {network} cannot be exported; no input shapes are known for it.")
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(shape, generator=generator) for shape in shapes)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps the exporters from printing, warning and logging about their own inner workings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class _Named(nn.Module):
    """A network whose outputs are a dictionary of tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        outputs = self.model(*inputs)
        named: dict[str, Tensor] = {}
        for name, value in outputs._asdict().items():
            if isinstance(value, Tensor):
                named[name] = value
            elif isinstance(value, tuple | list):
                named |= {f"{name}_{i}": part for i, part in enumerate(value) if isinstance(part, Tensor)}
        return named


def _write_onnx(named: nn.Module, inputs: tuple[Tensor, ...], path: Path, outputs: list[str]) -> Run:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - the exporter needs it
    except ImportError as error:
        message = f"Export to ONNX needs more packages ({error.name}): pip install 'gasp-saliency[export]'."
        raise UsageError(message) from None
    program = torch.onnx.export(named, inputs, dynamo=True, output_names=outputs, verbose=False)
    assert program is not None
    program.save(str(path), external_data=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(arrays: Sequence[Tensor]) -> dict[str, np.ndarray]:
        feeds = {i.name: a.numpy() for i, a in zip(session.get_inputs(), arrays, strict=True)}
        return dict(zip(outputs, session.run(outputs, feeds), strict=True))

    return run


def _write_torch(named: nn.Module, inputs: tuple[Tensor, ...], path: Path, outputs: list[str]) -> Run:
    with path.open("wb") as out:
        torch.export.save(torch.export.export(named, inputs, strict=False), out)
    with path.open("rb") as written:
        program = torch.export.load(written).module()

    def run(arrays: Sequence[Tensor]) -> dict[str, np.ndarray]:
        return {name: tensor.numpy() for name, tensor in program(*arrays).items()}

    return run


_WRITERS: dict[str, Callable[[nn.Module, tuple[Tensor, ...], Path, list[str]], Run]] = {
    "onnx": _write_onnx,
    "torch-export": _write_torch,
}


def _compare(
    network: str, expected: Mapping[str, np.ndarray], actual: Mapping[str, np.ndarray], tolerance: float
) -> dict[str, float]:
    """Largest absolute difference per output; an error when one is too large."""
    differences = {}
    for name, wanted in expected.items():
        if actual[name].shape != wanted.shape:
            raise GaspError(
                f"The exported {network} gives {name} of shape {actual[name].shape}, not {wanted.shape}."
            )
        difference = np.abs(actual[name] - wanted)
        differences[name] = float(difference.max(initial=0.0))
        allowed = tolerance * max(1e-3, float(np.abs(wanted).max(initial=0.0)))
        if not np.mean(~(difference <= allowed)) <= find_row(network).undecided:
            raise GaspError(
                f"The exported {network} differs from the network in {name} by {differences[name]:.2g} "
                f"(allowed: {allowed:.2g}); nothing was written."
            )
    return differences
