"""gasp models: what is published, what is here; and export of networks."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
        from gasp.weights.listing import everything

        print(json.dumps(everything(), indent=2))
    else:
        _print_table()
    return 0


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
    from gasp.weights.export import export_weights

    done = export_weights(
        args.name, args.output, form=args.format, checkpoint=args.checkpoint, random=args.random
    )
    differences = ", ".join(f"{name} {value:.1e}" for name, value in done.differences.items())
    print(f"{done.path}\tlargest differences from the network: {differences}")
    return 0
