"""What is known of a network without importing it: the row that adds it to the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Shape = tuple[int, ...]
Options = Mapping[str, Any]
Guesses = Callable[[Mapping[str, Shape]], Iterable[dict[str, Any]]]

NO_OPTIONS: Options = MappingProxyType({})


def guess_defaults(shapes: Mapping[str, Shape]) -> Iterable[dict[str, Any]]:
    """The guess for a network whose tensors do not depend on its options."""
    return ({},)


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A network as the table, the identification of files, the export and the tests need it.

    Attributes:
        where: "module:class"; the module is imported when the network is made.
        landmark: Name of a tensor without which a checkpoint cannot be the network's.
        inputs: From the network's options to the shapes of its inputs (batch of one) as in the published system, for
            example inputs; they are floats in 0..1.
        small_inputs: Shapes of inputs as small as the network can take when made with ``small``.
        small: Options that make the network as small as it can be, for tests.
        guesses: From the shapes of a checkpoint's tensors, by name, to the options that they may have been made with,
            likeliest first; none when the network cannot be it.
        arguments: Positional arguments of the class, before the options.
        undecided: Share of an output's elements that may differ after an export, where the network takes decisions
            that are closer than rounding.
        one_size: The network takes pictures of one large size only, so that tests do not run it.
    """

    where: str
    landmark: str
    inputs: Callable[[Options], Sequence[Shape]]
    small_inputs: Sequence[Shape]
    small: Options = field(default_factory=lambda: NO_OPTIONS)
    guesses: Guesses = guess_defaults
    arguments: tuple[str, ...] = ()
    undecided: float = 0.0
    one_size: bool = False


def fixed(*shapes: Shape) -> Callable[[Options], Sequence[Shape]]:
    """Input shapes that do not depend on the options."""
    return lambda options: shapes
