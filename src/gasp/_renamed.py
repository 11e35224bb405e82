"""Old names of public things, which go on working for one version, with a warning that says the new one."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULES = {
    "gasp.generation": "gasp.runs.generate",
    "gasp.evaluation.run": "gasp.evaluation.evaluate",
    "gasp.training.run": "gasp.training.train",
    "gasp.visualize.published": "gasp.published.pictures",
}
"""Module of version 0.1 -> where it is now."""


def renamed(module: str, names: dict[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that gives what had another name.

    Args:
        module: The module's ``__name__``.
        names: Old name -> new name in the same module, or "module:name" elsewhere.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, new = names[name].rpartition(":")
        _warn(f"{module}.{name}", f"{home or module}.{new}")
        return getattr(import_module(home or module), new)

    return get


class _Alias(Loader):
    def __init__(self, old: str) -> None:
        self._old = old

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        _warn(self._old, MODULES[self._old])
        module = import_module(MODULES[self._old])
        self._spec, self._loader = module.__spec__, module.__loader__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system takes it for a new module, and has written so into it.
        module.__spec__, module.__loader__ = self._spec, self._loader


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, _Alias(fullname)) if fullname in MODULES else None


def install() -> None:
    """Lets the old modules be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is called {new} now; the old name goes with the next version", DeprecationWarning, 4
    )
