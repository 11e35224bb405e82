"""Which networks there are, and how one is made by its name.

A new network is one file in this folder and one row in :data:`NETWORKS`, or, in a package of one's own, one entry point
of the group ``gasp.networks`` that leads to a :class:`~gasp.networks.row.NetworkRow`. Its class takes keyword options
only; it may name options of the published configurations that do not concern the network (learning rate, batch size,
...) in a class attribute ``ignored_options``. Creating, identifying, loading, exporting and the tests of every network
follow from the row.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from gasp.errors import UsageError
from gasp.networks.options import check_options, names_of
from gasp.networks.row import NetworkRow, Options, Shape, fixed
from gasp.networks.variants import VARIANTS, guess_options, input_shapes, small_options

if TYPE_CHECKING:
    from torch import nn

GROUP = "gasp.networks"
"""Group of entry points through which other packages add networks."""

_CLIP = (1, 3, 32, 224, 384)


def _stavis_inputs(options: Options) -> tuple[Shape, ...]:
    shapes = ((1, 3, 16, 112, 112), (1, 1, 1, 35280))
    return shapes if options.get("audiovisual", True) else shapes[:1]


def _gasp(name: str) -> NetworkRow:
    variant = VARIANTS[name]
    small = small_options(variant)
    return NetworkRow(
        "gasp.networks.gasp:GASP",
        landmark="saliency_out.weight",
        inputs=partial(input_shapes, variant),
        small=small,
        small_inputs=input_shapes(variant, small, side=16),
        guesses=partial(guess_options, variant),
        arguments=(name,),
    )


NETWORKS: dict[str, NetworkRow] = {
    **{name: _gasp(name) for name in VARIANTS},
    "dave": NetworkRow(
        "gasp.networks.dave:DAVE",
        landmark="combinedEmbedding.weight",
        inputs=fixed((1, 3, 16, 256, 320), (1, 3, 16, 64, 64)),
        small={"frames_len": 8},
        small_inputs=((1, 3, 8, 32, 32), (1, 3, 8, 64, 64)),
    ),
    "stavis": NetworkRow(
        "gasp.networks.stavis:STAViS",
        landmark="score_dsn.0.side_prep.weight",
        inputs=_stavis_inputs,
        small={"sample_size": 32, "sample_duration": 8},
        small_inputs=((1, 3, 8, 32, 32), (1, 1, 1, 35280)),
        guesses=lambda shapes: ({"audiovisual": True}, {"audiovisual": False}),
    ),
    "tased": NetworkRow(
        "gasp.networks.tased:TASEDNet",
        landmark="convtsp1.0.weight",
        inputs=fixed(_CLIP),
        small_inputs=((1, 3, 32, 32, 32),),
        undecided=0.1,  # its arg-max decisions are closer than rounding in many places
    ),
    "unisal": NetworkRow(
        "gasp.networks.unisal:UNISAL",
        landmark="coarse_gaussians_dhf1k",
        inputs=fixed((1, 12, 3, 224, 384)),
        small_inputs=((1, 2, 3, 32, 32),),
    ),
    "vinet": NetworkRow(
        "gasp.networks.vinet:ViNet",
        landmark="decoder.convtsp1.0.weight",
        inputs=fixed(_CLIP),
        small_inputs=((1, 3, 32, 32, 32),),
    ),
    "avinet": NetworkRow(
        "gasp.networks.vinet:AViNet",
        landmark="visual_model.decoder.convtsp1.0.weight",
        inputs=fixed(_CLIP, (1, 1, 70560, 1)),
        small_inputs=(_CLIP, (1, 1, 48000, 1)),
        one_size=True,
    ),
    "glance": NetworkRow(
        "gasp.networks.glance:Glance",
        landmark="laterals.0.weight",
        inputs=fixed((1, 3, 288, 512)),
        small_inputs=((1, 3, 64, 96),),
    ),
    "gaze360": NetworkRow(
        "gasp.networks.gaze360:Gaze360",
        landmark="base_model.fc1.weight",
        inputs=fixed((1, 7, 3, 224, 224)),
        small_inputs=((1, 7, 3, 224, 224),),
    ),
    "videogaze": NetworkRow(
        "gasp.networks.videogaze:VideoGaze",
        landmark="cone_pathway.linear1.weight",
        inputs=fixed(*[(1, 3, 227, 227)] * 3, (1, 2)),
        small_inputs=(*[(1, 3, 227, 227)] * 3, (1, 2)),
    ),
    "esr9": NetworkRow(
        "gasp.networks.esr9:ESR9",
        landmark="branches.0.conv1.weight",
        inputs=fixed((1, 3, 96, 96)),
        small={"branches": 2},
        small_inputs=((1, 3, 96, 96),),
    ),
    "light_asd": NetworkRow(
        "gasp.networks.light_asd:LightASD",
        landmark="model.visualEncoder.block1.s_3.weight",
        inputs=fixed((1, 25, 112, 112), (1, 100, 13)),
        small_inputs=((1, 2, 112, 112), (1, 8, 13)),
    ),
    "s3fd": NetworkRow(
        "gasp.networks.s3fd:S3FD",
        landmark="conv7_2_mbox_conf.weight",
        inputs=fixed((1, 3, 256, 256)),
        small_inputs=((1, 3, 64, 64),),
    ),
}
"""The networks of this package by name. (The GASP networks share one class.)"""


def list_models() -> list[str]:
    """Names that :func:`create_model` accepts, sorted."""
    return sorted(NETWORKS.keys() | {entry.name for entry in entry_points(group=GROUP)})


def find_row(name: str) -> NetworkRow:
    """The row of the network called ``name``.

    Raises:
        UsageError: There is no such network, or the package that offers it cannot be imported.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    for entry in entry_points(group=GROUP, name=name):
        try:
            row = entry.load()
        except Exception as error:
            # Anything can happen while somebody else's code is imported.
            raise UsageError(
                f"The network {name!r} cannot be imported from {entry.value} ({type(error).__name__}: {error})."
            ) from error
        if not isinstance(row, NetworkRow):
            raise UsageError(f"The network {name!r}: {entry.value} is no NetworkRow.")
        return row
    raise UsageError(f"There is no network called {name!r}{_suggestion(name, list_models())}")


def create_model(name: str, **options: Any) -> nn.Module:
    """Make a network by its name: in evaluation mode, with random weights; reads no file and no network.

    Args:
        name: One of :func:`list_models`.
        options: Keyword arguments of the network's class.

    Raises:
        UsageError: An unknown name or option, naming the nearest valid one; a value of the wrong type or too large.
    """
    row = find_row(name)
    module, _, attribute = row.where.partition(":")
    network = getattr(import_module(module), attribute)
    ignored: frozenset[str] = getattr(network, "ignored_options", frozenset())
    known = names_of(network) | ignored
    for option in options:
        if option not in known:
            raise UsageError(f"The network {name} has no option {option!r}{_suggestion(option, known)}")
    used = {key: value for key, value in options.items() if key not in ignored}
    check_options(name, network, used)
    try:
        model: nn.Module = network(*row.arguments, **used)
    except (TypeError, ValueError, RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(f"The network {name} cannot be made with the options {used}: {reason}.") from error
    return model.eval()


def _suggestion(wrong: str, valid: Iterable[str]) -> str:
    """The end of a message: the nearest valid word, or all of them."""
    names = {name.lower(): name for name in valid}
    near = difflib.get_close_matches(wrong.lower(), names, n=1)
    return (
        f"; did you mean {names[near[0]]!r}?"
        if near
        else f"; valid are: {', '.join(sorted(names.values()))}."
    )
