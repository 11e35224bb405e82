"""``gasp_download_manager`` of 2021: datasets and models by their names of then."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--working_dir", type=Path, default=Path(), metavar="PATH", help="(%(default)s)")
    parser.add_argument("--datasets", nargs="+", default=[], metavar="NAME", help="folder below datasets/")
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="NAME",
        help='folder below gazenet/models/; "saliency_prediction/gasp/<...>" means all below it',
    )  # fmt: skip
    parser.add_argument(
        "--accept-license", action="store_true", help="I have read the models' terms and my use is allowed"
    )


def run(args: argparse.Namespace) -> int:
    """Prepares the working directory, then fetches; one source that fails does not keep the others away."""
    from gasp.cli.progress import download_progress
    from gasp.datasets.downloads import fetch_datasets, find_datasets
    from gasp.datasets.working_folder import prepare
    from gasp.errors import GaspError, UsageError
    from gasp.weights import Store, ensure_all
    from gasp.weights.catalogue import find_entries
    from gasp.weights.transfer import DownloadError

    find_datasets(args.datasets)
    for name in args.models:
        find_entries(name)
    written = prepare(args.working_dir)
    if not args.quiet and written:
        print(f"{args.working_dir}: {len(written)} files of splits and presets")
    store, problems = Store.from_environment(args.working_dir), []
    with download_progress(args.quiet) as progress:
        for names, get in (
            (args.datasets, lambda names: fetch_datasets(names, store, progress)),
            (
                args.models,
                lambda names: ensure_all(
                    names, accept_license=args.accept_license, store=store, progress=progress
                ),
            ),
        ):
            if not names:
                continue
            try:
                paths = get(names)
            except UsageError:
                raise
            except GaspError as error:
                problems.append(str(error))
            else:
                if not args.quiet:
                    print("\n".join(f"{name}\t{path}" for name, path in paths.items()))
    if problems:
        raise DownloadError("\n".join(problems))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The console command."""
    from gasp.cli.program import run_program

    return run_program(
        "gasp_download_manager",
        "Prepares a working directory and fetches datasets and models into it.",
        add_arguments,
        run,
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
