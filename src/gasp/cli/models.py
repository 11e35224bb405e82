"""gasp models: what is published, what is here; and export of networks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from gasp.weights.catalogue import Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="print everything that is known, as JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    export = actions.add_parser("export", help="write a network for other programs")
    export.add_argument("name", metavar="NAME", help="a checkpoint of `gasp models`")
    export.add_argument("--format", choices=("onnx", "torch-export"), default="onnx")
    export.add_argument("-o", "--output", type=Path, metavar="FILE", required=True)
    weights = export.add_mutually_exclusive_group()
    weights.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="weights other than the published ones"
    )
    weights.add_argument("--random", action="store_true", help="random weights, to try the format")


def run(args: argparse.Namespace) -> int:
    """List, or export."""
    if args.action == "export":
        return _export(args)
    if args.json:
        print(json.dumps(_everything(), indent=2))
    else:
        _print_table()
    return 0


def _everything() -> dict[str, Any]:
    from gasp.weights import find_downloaded
    from gasp.weights.catalogue import ENTRIES
    from gasp.weights.shipped import packaged, packaged_names, read_metadata

    published = [
        entry.to_dict() | {"downloaded": str(path) if (path := find_downloaded(entry)) else None}
        for entry in ENTRIES
    ]
    shipped = [{"name": name, **read_metadata(packaged(name))} for name in packaged_names()]
    return {"published": published, "packaged": shipped}


def _print_table() -> None:
    from rich.console import Console
    from rich.table import Table

    from gasp.weights import find_downloaded
    from gasp.weights.catalogue import ENTRIES
    from gasp.weights.shipped import packaged, packaged_names, read_metadata

    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for heading in ("picture", "frames", "licence", "commercial use", "here"):
        table.add_column(heading)
    for name in packaged_names():
        licence = read_metadata(packaged(name)).get("licence", "unknown")
        table.add_row(name, "", "", licence, "", "yes")
    for entry in ENTRIES:
        size = f"{entry.preprocessing.width} x {entry.preprocessing.height}"
        here = "yes" if find_downloaded(entry) else "no"
        window = str(entry.preprocessing.window)
        table.add_row(entry.name, size, window, entry.licence.name, _commercial(entry), here)
    Console().print(table)


def _commercial(entry: Entry) -> str:
    return {True: "yes", False: "no", None: "unknown"}[entry.licence.commercial]


def _export(args: argparse.Namespace) -> int:
    from gasp.weights.export import export

    model, network, options = _model(args)
    done = export(model, args.output, network=network, options=options, form=args.format)
    differences = ", ".join(f"{name} {value:.1e}" for name, value in done.differences.items())
    print(f"{done.path}\tlargest differences from the network: {differences}")
    return 0


def _model(args: argparse.Namespace) -> tuple[nn.Module, str, Mapping[str, Any]]:
    """The network with the weights that the options ask for, its name and its options."""
    from gasp.errors import UsageError, WeightsError
    from gasp.weights import open_weights

    weights = open_weights(args.name, must_be_here=False)
    network = weights.network
    if network is None:
        raise UsageError(f"{args.name} is published as ONNX; `gasp download {args.name}` fetches it.")
    if args.checkpoint is not None:
        weights = replace(weights, path=args.checkpoint)
    if args.random:
        options = weights.options or {}
        return replace(weights, options=options).make(), network, options
    if weights.path is None:
        raise WeightsError(
            f"The weights of {args.name} are not here. Run `gasp download {args.name}`, name a file with "
            "--checkpoint, or pass --random for random weights."
        )
    options = weights.read_options()
    return replace(weights, options=options).load(), network, options
