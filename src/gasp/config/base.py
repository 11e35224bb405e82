"""What pipelines, experiments and sweeps share: strict parts, read from plain values or a YAML or JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from gasp.config.documents import read_document
from gasp.config.problems import explain
from gasp.errors import UsageError


class NoEffect:
    """Marks a field of settings that has no effect on results, such as how a run is logged: ``Annotated[T, NoEffect]``.

    A fingerprint holds all other fields.
    """


SUFFIXES = (".yaml", ".yml", ".json")

P = TypeVar("P", bound="Settings")


class Settings(BaseModel):
    """Data with known fields that never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def decisive(self) -> dict[str, Any]:
        """The plain values of exactly those fields that have an effect on results."""
        values = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if NoEffect in field.metadata:
                del values[name]
            elif isinstance(value, Settings):
                values[name] = value.decisive()
            elif isinstance(value, tuple) and any(isinstance(part, Settings) for part in value):
                values[name] = [part.decisive() if isinstance(part, Settings) else part for part in value]
        return values

    @classmethod
    def read(cls: type[P], values: Mapping[str, Any], where: str = "") -> P:
        """From plain values. Raises :class:`gasp.errors.UsageError` naming every wrong field, and ``where`` it is."""
        try:
            return cls(**values)
        except (ValidationError, TypeError) as error:
            said = explain(error, cls) if isinstance(error, ValidationError) else str(error)
            raise UsageError(f"{where}: {said}" if where else said) from None


def read_values(path: Path, what: str) -> dict[str, Any]:
    """The fields in a YAML or JSON file that describes ``what``, such as "a pipeline: it must hold 'cues: ...'".

    Raises :class:`gasp.errors.InputError` when the file cannot be read and :class:`gasp.errors.UsageError` when it
    holds no fields.
    """
    values = read_document(path)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(f"{path} does not describe {what}")
    return values


def _check_folder_name(value: str) -> str:
    if not value or value.startswith(".") or any(sign in value for sign in "/\\:\0"):
        raise ValueError("a name is needed that can be a folder's")
    return value


FolderName = Annotated[str, AfterValidator(_check_folder_name)]
"""A name that is part of paths."""
