"""Switches between what the published pipeline did and what it was meant to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar, get_args

from gasp.cues.saliency import Mode, check_choice
from gasp.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Quirks = TypeVar("Quirks", bound=DataclassInstance)


def choose_quirks(kind: type[Quirks], mode: Mode, switches: Mapping[str, bool]) -> Quirks:
    """Quirks of a ``kind`` whose fields are all booleans: all on in mode "published", all off in "corrected".

    ``switches`` sets single ones otherwise. Raises :class:`UsageError` for an unknown mode or name.
    """
    check_choice("mode", mode, get_args(Mode))
    names = [field.name for field in fields(kind)]
    for name, value in switches.items():
        check_choice("a switch", name, names)
        if not isinstance(value, bool):
            raise UsageError(f"{name} must be True or False, not {value!r}")
    return kind(**{name: switches.get(name, mode == "published") for name in names})
