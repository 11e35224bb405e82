"""gasp download: fetch published checkpoints."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="checkpoint, network, pattern, or all (see `gasp models`)"
    )
    parser.add_argument(
        "--accept-license", action="store_true", help="I have read the terms and my use is allowed"
    )
    parser.add_argument(
        "--into", type=Path, metavar="DIR", help="working directory (default: GASP_CWD, or a cache folder)"
    )
    parser.add_argument("--jobs", type=int, default=4, metavar="N", help="downloads at a time (default: 4)")
    parser.add_argument("--check", action="store_true", help="also load each checkpoint into its network")
    parser.add_argument("--json", action="store_true", help="print the paths as JSON")


def run(args: argparse.Namespace) -> int:
    """Fetch what is missing, check everything, print where it is."""
    from gasp.cli.progress import progress_bar
    from gasp.errors import UsageError
    from gasp.weights import Store, ensure_all, list_entries
    from gasp.weights.open import check_loading

    if not args.names:
        raise UsageError(f"Name at least one checkpoint; there are: {', '.join(list_entries())}.")
    if args.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {args.jobs}.")
    store = Store.from_environment(args.into)
    with progress_bar(args.quiet) as progress:
        paths = ensure_all(
            args.names,
            accept_license=args.accept_license,
            store=store,
            progress=progress,
            jobs=args.jobs,
        )
    if args.check:
        check_loading(paths, store)
    if args.json:
        print(json.dumps({name: str(path) for name, path in paths.items()}, indent=2))
    else:
        for name, path in paths.items():
            print(f"{name}\t{path}")
    return 0
