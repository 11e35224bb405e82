"""What pydantic finds wrong, said for people: the field, its value, and the nearest valid one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from gasp.naming import nearest

_LONGEST = 120
"""Signs of a value that are repeated."""


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One sentence part per wrong field of ``model``."""
    # A default that depends on a wrong field is no problem of its own.
    problems = [problem for problem in error.errors() if problem["type"] != "default_factory_not_called"]
    return "; ".join(_say(problem, model) for problem in problems)


def _say(problem: Any, model: type[BaseModel]) -> str:
    place = problem["loc"]
    name = ".".join(str(part) for part in place)
    if problem["type"] == "extra_forbidden":
        return (
            f"there is no setting {name!r}{nearest(str(place[-1]), _owner(model, place[:-1]).model_fields)}"
        )
    if problem["type"] == "missing":
        return f"{name} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "literal_error":
        valid = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
        message = f"unknown{nearest(str(problem['input']), valid)}"
    shown = repr(problem["input"])
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
    start = f"{name} = {shown}: " if name else ""
    if len(message) > 4 * _LONGEST:
        message = f"{message[: 2 * _LONGEST]}...{message[-2 * _LONGEST :]}"
    return f"{start}{message[0].lower()}{message[1:]}"


def _owner(model: type[BaseModel], place: Iterable[Any]) -> type[BaseModel]:
    """The model that holds the field at ``place``."""
    for part in place:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
