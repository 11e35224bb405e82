"""Fitting the named tensors of a checkpoint to a network, strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gasp.errors import WeightsError
from gasp.weights.checkpoints import Member, State, find_checkpoints
from gasp.weights.identify import fitting_options, identify, matches

Network = TypeVar("Network", bound=nn.Module)

_WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes that DataParallel and torch.compile put before names."""

_COUNTER = ".num_batches_tracked"
"""Batch normalisation's counter; files of PyTorch before 0.4.1 lack it and inference does not use it."""

_SHOWN = 8
"""How many names a message lists of each kind."""


def load_checkpoint(model: Network, path: str | Path) -> Network:
    """Fill ``model`` with the weights at ``path`` and return it.

    ``path`` is a file of ``torch.save`` or safetensors in any published layout (tensors nested under a key
    such as ``state_dict``, names with a prefix such as ``module.``, Lightning files), a folder (ESR-9's ten
    files), or a tar or zip archive of such files. Loading is strict: every tensor must be there with its
    name and shape, and nothing else; only batch counters may be missing and entries that the network
    declares as unused (``unused_entries``) are passed over. Numbers are converted to the model's types and
    devices.

    Raises :class:`~gasp.errors.WeightsError` when the file is missing, damaged, holds objects other than
    tensors and numbers (nothing is executed), or does not fit; the message lists what is missing,
    unexpected or of the wrong shape. The model is then unchanged.
    """
    members = find_checkpoints(path)
    several = len(members) > 1 or Path(path).is_dir()
    ensemble = _ensemble(members) if several else None
    if ensemble is None and len(members) > 1:
        members = [_only_fitting(model, members, path)]
    state = (ensemble or members[0]).read()
    fitted, problems = _fit(model, state)
    if problems:
        raise _part_of_ensemble(model, state) or _mismatch(model, state, problems)
    model.load_state_dict(_converted(model, fitted, state.name), strict=True)
    return model


def read_options(network: str, path: str | Path) -> dict[str, Any]:
    """Options with which the network called ``network`` has the tensors of the checkpoint at ``path``.

    Raises :class:`~gasp.errors.WeightsError` when there are none, or the file cannot be read.
    """
    [member, *others] = find_checkpoints(path)
    if others:
        raise WeightsError(f"{path}: holds several checkpoints. Name one of them.")
    state = member.read()
    options = fitting_options(network, _without_prefixes(state, {}))
    if options is None:
        raise WeightsError(f"{path}: its tensors are not those of a network {network}, whatever its options.")
    return options


# --- several files ---------------------------------------------------------------------------------------

_ENSEMBLE_BASE = "Net-Base-Shared_Representations.pt"
_ENSEMBLE_BRANCH = re.compile(r"Net-Branch_([1-9])\.pt")


def _ensemble(members: list[Member]) -> Member | None:
    """ESR-9's ten files as one checkpoint: names get the prefix ``base.`` or ``branches.<0..8>.``."""
    by_name = {Path(member.name).name: member for member in members}
    branches = {int(m[1]): by_name[name] for name in by_name if (m := _ENSEMBLE_BRANCH.fullmatch(name))}
    if _ENSEMBLE_BASE not in by_name and not branches:
        return None
    folder = str(Path(members[0].name).parent)
    missing = [f"Net-Branch_{i}.pt" for i in range(1, 10) if i not in branches]
    if _ENSEMBLE_BASE not in by_name:
        missing.insert(0, _ENSEMBLE_BASE)
    if missing:
        raise WeightsError(f"{folder}: ESR-9 is published as ten files; missing here: {', '.join(missing)}.")

    def read() -> State:
        parts = {"base.": by_name[_ENSEMBLE_BASE]} | {
            f"branches.{i - 1}.": branches[i] for i in sorted(branches)
        }
        tensors = {
            prefix + name: tensor
            for prefix, part in parts.items()
            for name, tensor in part.read().tensors.items()
        }
        return State(folder, tensors)

    return Member(folder, read)


def _part_of_ensemble(model: nn.Module, state: State) -> WeightsError | None:
    """What to say of a file that is one of ESR-9's ten where the whole network is wanted; None for others."""
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    found = {name: tensor.shape for name, tensor in _without_prefixes(state, {}).items()}
    for prefix, what in (("base.", "the shared base"), ("branches.0.", "a branch")):
        part = {n.removeprefix(prefix): s for n, s in wanted.items() if n.startswith(prefix)}
        if part and part.items() == found.items() and len(part) < len(wanted):
            others = [f"Net-Branch_{i}.pt" for i in range(1, 10)]
            if what == "a branch":
                others.insert(0, _ENSEMBLE_BASE)
            missing = [name for name in others if not Path(state.name).with_name(name).exists()]
            way = f"missing beside it: {', '.join(missing)}" if missing else "give the folder that holds them"
            return WeightsError(
                f"{state.name}: holds {what} of ESR-9 alone, which is published as ten files; {way}."
            )
    return None


def _only_fitting(model: nn.Module, members: list[Member], path: str | Path) -> Member:
    """The one checkpoint among several that fits the model."""
    fitting = [member for member in members if not _fit(model, member.read())[1]]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(_shorten(Path(member.name).name for member in fitting or members))
    if fitting:
        raise WeightsError(f"{path}: holds several checkpoints that fit ({names}). Name one of them.")
    raise WeightsError(
        f"{path}: none of its {len(members)} checkpoints fits {type(model).__name__} ({names})."
    )


# --- one checkpoint --------------------------------------------------------------------------------------


def _fit(model: nn.Module, state: State) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """The state with the model's own names, and what keeps it from fitting (empty when it fits)."""
    wanted = model.state_dict()
    unused = tuple(getattr(model, "unused_entries", ()))
    found = _without_prefixes(state, wanted)
    found = {name: t for name, t in found.items() if name in wanted or not matches(name, unused)}
    for name, tensor in wanted.items():
        if name not in found and (name.endswith(_COUNTER) or matches(name, unused)):
            found[name] = tensor
    problems = {
        "missing": [name for name in wanted if name not in found],
        "unexpected": [name for name in found if name not in wanted],
        "of the wrong shape": [
            f"{name}: file {_shape(found[name])}, network {_shape(tensor)}"
            for name, tensor in wanted.items()
            if name in found and not _same_shape(found[name], tensor)
        ],
        "of an unusable number type": [
            f"{name}: {found[name].dtype}" for name in wanted if name in found and not _usable(found[name])
        ],
    }
    fitted = (
        {name: found[name].reshape(wanted[name].shape) for name in found}
        if not any(problems.values())
        else {}
    )
    return fitted, {kind: names for kind, names in problems.items() if names}


def _without_prefixes(state: State, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without what trainers and wrappers put in front of them."""
    tensors = state.tensors
    first_parts = {name.split(".")[0] for name in wanted}
    for wrapper in _WRAPPERS:
        if wrapper[:-1] not in first_parts:
            tensors = _strip(tensors, wrapper)
    while (shared := _shared_prefix(tensors)) and shared not in first_parts:
        tensors = _strip(tensors, shared + ".")
    if state.lightning:
        # A training module holds the network beside losses and metrics; its part is named "<attribute>.*".
        for prefix in dict.fromkeys(name.split(".")[0] + "." for name in tensors):
            part = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            part = {name.removeprefix("_orig_mod."): tensor for name, tensor in part.items()}
            if part.keys() == wanted.keys():
                return part
    return tensors


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Names without ``prefix``; unchanged where two would become the same."""
    stripped = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return stripped if len(stripped) == len(tensors) else tensors


def _shared_prefix(names: Iterable[str]) -> str:
    """The first dotted part of all names when it is the same one and never the whole name, else ""."""
    parts = {name.split(".")[0] if "." in name else "" for name in names}
    return parts.pop() if len(parts) == 1 else ""


def _same_shape(found: Tensor, wanted: Tensor) -> bool:
    # Before PyTorch 0.4 there were no scalars: counters and the like have the shape (1,).
    scalars = {found.shape, wanted.shape} == {torch.Size([]), torch.Size([1])}
    return found.shape == wanted.shape or scalars


def _usable(tensor: Tensor) -> bool:
    return (
        tensor.layout == torch.strided
        and not tensor.is_quantized
        and not tensor.is_complex()
        and tensor.device.type != "meta"
        and _is_plain(tensor.dtype)
    )


def _is_plain(dtype: torch.dtype) -> bool:
    """Whether numbers of this type can be converted: not so packed ones (4 bits, bare bits)."""
    try:
        torch.zeros(1, dtype=torch.float32).to(dtype).float()
    except RuntimeError:
        return False
    return True


def _converted(model: nn.Module, tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors in the model's own number types, checked as they then are: a cast may make infinity of a number."""
    wanted = {key: tensor.dtype for key, tensor in model.state_dict().items()}
    converted = {key: tensor.to(wanted[key]) for key, tensor in tensors.items()}
    broken = [key for key, t in converted.items() if t.is_floating_point() and not _is_finite(t)]
    if broken:
        raise WeightsError(
            f"{name}: holds infinite or undefined numbers (NaN), or numbers too large for the network's type, in "
            f"{', '.join(_shorten(broken))}. The file is damaged or its training diverged."
        )
    return converted


def _is_finite(tensor: Tensor) -> bool:
    # Not every operation knows the types of 8 bits that a model of the caller's may have.
    return bool(torch.isfinite(tensor if tensor.element_size() > 1 else tensor.float()).all())


# --- messages --------------------------------------------------------------------------------------------


def _mismatch(model: nn.Module, state: State, problems: Mapping[str, list[str]]) -> WeightsError:
    lines = [f"{state.name}: does not fit the network {type(model).__name__}."]
    for kind, names in problems.items():
        lines.append(f"  {len(names)} {kind}: {', '.join(_shorten(names))}")
    if likely := identify(_without_prefixes(state, {})):
        lines.append(f"  This file looks like {likely}.")
    return WeightsError("\n".join(lines))


def _shorten(names: Iterable[str]) -> list[str]:
    names = list(names)
    shown = [name if len(name) <= 120 else name[:117] + "..." for name in names[:_SHOWN]]
    return shown + ([f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "scalar"
