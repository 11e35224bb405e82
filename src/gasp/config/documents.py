"""YAML and JSON that somebody wrote: read with limits, before anything is allocated, and without silent losses."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from gasp.errors import InputError, UsageError
from gasp.work.files import require_regular

LARGEST = 2**20
"""Bytes of a document."""

MOST_VALUES = 200_000
"""Values in a document, those that aliases repeat counted each time."""

DEEPEST = 64
_MOST_BRACKETS = 1000


def read_document(path: Path) -> Any:
    """The plain values in a YAML or JSON file (by its suffix).

    Raises:
        InputError: The file cannot be read.
        UsageError: It is too large, or not what its suffix says; a key that stands twice in one place counts as that.
    """
    if not os.path.lexists(path):
        raise InputError(f"{str(path)[:300]} cannot be read: it does not exist.")
    require_regular(path, InputError)
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} has more than {LARGEST >> 20} MiB: that is no file of settings")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}.") from error
    kind = "JSON" if path.suffix.lower() == ".json" else "YAML"
    try:
        return parse_json(text) if kind == "JSON" else parse_yaml(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UsageError(f"{path} is not {kind} that can be used: {reason}") from error


def parse_json(text: str) -> Any:
    """The values of a JSON text. Raises ValueError, also for a key that stands twice in one object."""
    return json.loads(text, object_pairs_hook=_without_repetition)


def parse_yaml(text: str) -> Any:
    """The values of a YAML text, of plain kinds. Raises ValueError or yaml.YAMLError.

    Also for a key that stands twice in one mapping, for a text that is nested too deeply, and for one whose aliases
    make it too large: nine short lines can stand for billions of values.
    """
    if _brackets(text) > _MOST_BRACKETS:  # reading them takes time by the square of their depth
        raise ValueError("it is nested too deeply")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}, 0) > MOST_VALUES:
            raise ValueError(f"it stands for more than {MOST_VALUES} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a JSON file, in which no key may stand twice."""
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError(f"the key {_first_repeated(key for key, _ in pairs)[:80]!r} stands there twice")
    return content


def _brackets(text: str) -> int:
    """How deep brackets are nested in a text, whatever they mean there."""
    deepest = depth = 0
    for sign in re.findall(r"[\[{\]}]", text):
        depth = depth + 1 if sign in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def _first_repeated(keys: Iterable[str]) -> str:
    """The first key that was there before; "" without one."""
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return ""


def _values(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """How many values a node stands for; each node is looked at once, however often aliases repeat it."""
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    if id(node) in known:
        if known[id(node)] == 0:
            raise ValueError("a value in it holds itself")
        return known[id(node)]
    known[id(node)] = 0
    count = 1
    if isinstance(node, yaml.SequenceNode):
        count += sum(_values(value, known, depth + 1) for value in node.value)
    elif isinstance(node, yaml.MappingNode):
        _check_keys(node)
        count += sum(_values(value, known, depth + 1) for pair in node.value for value in pair)
    known[id(node)] = count
    return count


def _check_keys(node: yaml.MappingNode) -> None:
    key = _first_repeated(str(key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
    if key:
        raise ValueError(
            f"the key {key[:80]!r} stands there twice (line {node.start_mark.line + 1} and after)"
        )
