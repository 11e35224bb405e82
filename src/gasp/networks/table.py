"""Which networks there are, and how one is made by its name.

A new network is one file in this folder and one line in :data:`NETWORKS`. Its class takes keyword options
only; it may name options of the published configurations that do not concern the network (learning rate,
batch size, ...) in a class attribute ``ignored_options``.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gasp.errors import UsageError
from gasp.networks.variants import VARIANTS

if TYPE_CHECKING:
    from torch import nn

NETWORKS: dict[str, str] = {
    **dict.fromkeys(VARIANTS, "gasp.networks.gasp:GASP"),
    "dave": "gasp.networks.dave:DAVE",
    "stavis": "gasp.networks.stavis:STAViS",
    "tased": "gasp.networks.tased:TASEDNet",
    "unisal": "gasp.networks.unisal:UNISAL",
    "vinet": "gasp.networks.vinet:ViNet",
    "avinet": "gasp.networks.vinet:AViNet",
    "glance": "gasp.networks.glance:Glance",
    "gaze360": "gasp.networks.gaze360:Gaze360",
    "videogaze": "gasp.networks.videogaze:VideoGaze",
    "esr9": "gasp.networks.esr9:ESR9",
    "s3fd": "gasp.networks.s3fd:S3FD",
}
"""Name of a network -> "module:class"; the module is imported when the network is made. (The GASP networks
share one class, which takes the name of the composition before its options.)"""


def list_models() -> list[str]:
    """Names that :func:`create_model` accepts, sorted."""
    return sorted(NETWORKS)


def create_model(name: str, **options: Any) -> nn.Module:
    """Make a network by its name: in evaluation mode, with random weights; reads no file and no network.

    ``options`` are the keyword arguments of the network's class. An unknown name or option raises
    :class:`~gasp.errors.UsageError` naming the nearest valid one.
    """
    if name not in NETWORKS:
        raise UsageError(f"There is no network called {name!r}{_suggestion(name, NETWORKS)}")
    module, _, attribute = NETWORKS[name].partition(":")
    network = getattr(import_module(module), attribute)
    ignored: frozenset[str] = getattr(network, "ignored_options", frozenset())
    known = _options(network) | ignored
    for option in options:
        if option not in known:
            raise UsageError(f"The network {name} has no option {option!r}{_suggestion(option, known)}")
    composition = [name] if name in VARIANTS else []
    used = {key: value for key, value in options.items() if key not in ignored}
    model: nn.Module = network(*composition, **used)
    return model.eval()


def _options(network: Callable[..., Any]) -> set[str]:
    """Names of the keyword arguments of a class."""
    parameters = inspect.signature(network).parameters.values()
    return {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}


def _suggestion(wrong: str, valid: Iterable[str]) -> str:
    """The end of a message: the nearest valid word, or all of them."""
    names = {name.lower(): name for name in valid}
    near = difflib.get_close_matches(wrong.lower(), names, n=1)
    return (
        f"; did you mean {names[near[0]]!r}?"
        if near
        else f"; valid are: {', '.join(sorted(names.values()))}."
    )
