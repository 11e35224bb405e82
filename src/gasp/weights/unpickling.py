"""Reading of pickled checkpoints through torch's restricted unpickler, and nothing else.

``torch.load(weights_only=True)`` builds tensors, plain containers and numbers. Published and Lightning files
hold a few harmless objects besides (a numpy number for the best score, callback classes used as dictionary
keys, dictionaries of settings). They are replaced by the stand-ins below: the classes and functions that the
file names are never imported or called.
"""

from __future__ import annotations

import re
import struct
import threading
import warnings
from pickle import UnpicklingError
from typing import IO, Any

import torch

from gasp.errors import WeightsError

_LOCK = threading.Lock()
"""torch keeps one allow-list for all threads."""

_NUMBER_FORMATS = {
    "f2": "e", "f4": "f", "f8": "d",
    "i1": "b", "i2": "h", "i4": "i", "i8": "q",
    "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
    "b1": "?",
}  # fmt: skip


class _NumberType:
    """Stands in for ``numpy.dtype``: remembers the name of a number type, e.g. "f8"."""

    def __init__(self, name: str | bytes = "", *_: object) -> None:
        self.name = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
        self.order = "<"

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in (">", b">"):
            self.order = ">"


def _number(kind: object, data: object = b"") -> float | int | None:
    """Stands in for numpy's rebuilding of a scalar; None when it is not a plain number."""
    if isinstance(data, str):  # written by Python 2
        data = data.encode("latin1", "replace")
    if not isinstance(kind, _NumberType) or not isinstance(data, bytes):
        return None
    code = _NUMBER_FORMATS.get(kind.name.lstrip("<>|="))
    if code is None or struct.calcsize(code) != len(data):
        return None
    value: float | int = struct.unpack(kind.order + code, data)[0]
    return value


class _Settings:
    """Stands in for dictionary-like classes of settings; becomes a plain dictionary."""

    def __new__(cls, *_: object) -> Any:
        return {}


class _Inert:
    """Stands in for a class whose content does not matter here."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _stand_ins() -> list[Any]:
    """Pairs (stand-in, full name in the file), in the form that torch's allow-list takes."""
    pairs: list[Any] = [(_NumberType, "numpy.dtype"), (_Inert, "argparse.Namespace")]
    pairs += [(_number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    for package in ("pytorch_lightning", "lightning.pytorch"):
        pairs += [
            (_Settings, f"{package}.utilities.parsing.AttributeDict"),
            (_Inert, f"{package}.callbacks.model_checkpoint.ModelCheckpoint"),
            (_Inert, f"{package}.callbacks.early_stopping.EarlyStopping"),
        ]
    pairs += [
        (_Settings, f"{package}.utilities.data.AttributeDict")
        for package in ("lightning_fabric", "lightning.fabric")
    ]
    pairs += [(_Inert, f"pathlib.{name}") for name in ("Path", "PosixPath", "PurePosixPath", "WindowsPath")]
    return pairs


def unpickle(source: str | IO[bytes], name: str) -> Any:
    """What a file written by ``torch.save`` holds, all tensors on the CPU.

    ``source`` is a path or an open file, ``name`` what messages call it. Raises :class:`WeightsError` for
    damaged files and for files with objects other than tensors, containers and numbers; nothing that such a
    file names is run.
    """
    try:
        try:
            return _load(source, encoding="utf-8")
        except UnicodeDecodeError:  # numpy numbers written by Python 2 are byte strings
            if not isinstance(source, str):
                source.seek(0)
            return _load(source, encoding="latin1")
    except UnpicklingError as error:
        raise _refusal(error, name) from None
    except MemoryError:
        raise WeightsError(f"{name}: needs more memory than there is, or is damaged.") from None
    except Exception as error:
        # Damaged files surface as almost any exception: struct.error, KeyError, RuntimeError, EOFError ...
        if "weights_only" in str(error):
            raise _refusal(error, name) from None
        raise WeightsError(
            f"{name}: is damaged or not a PyTorch checkpoint ({_first_line(error)}). Fetch it again."
        ) from None


def _load(source: str | IO[bytes], encoding: str) -> Any:
    with _LOCK, warnings.catch_warnings(), torch.serialization.safe_globals(_stand_ins()):
        warnings.simplefilter("ignore")
        return torch.load(source, map_location="cpu", weights_only=True, encoding=encoding)


def _refusal(error: Exception, name: str) -> WeightsError:
    text = str(error)
    if "TorchScript" in text:
        what = "is a TorchScript program, not a checkpoint"
    elif "legacy .tar format" in text:
        what = "is in the tar format of PyTorch before 0.1.10, which cannot be read safely"
    elif found := re.search(r"GLOBAL (\S+)", text):
        what = f"contains something other than tensors and numbers ({found[1][:80]})"
    elif re.search(r"recognized function|create new object|persistent", text):
        what = "contains something other than tensors and numbers"
    else:
        raise WeightsError(
            f"{name}: is damaged or not a PyTorch checkpoint ({_first_line(error)}). Fetch it again."
        )
    return WeightsError(
        f"{name}: {what}. Reading it could run code, so it is refused; nothing was run. "
        "If you trust where it comes from, load it with the software that wrote it and save its state_dict "
        "alone (torch.save(model.state_dict(), ...) or safetensors)."
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:120] if text else type(error).__name__
