"""``gasp_download_manager`` of 2021: datasets and models by their names of then."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
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
    from gasp.cli.progress import progress_bar
    from gasp.datasets.downloads import fetch_datasets, find_datasets
    from gasp.errors import GaspError, UsageError
    from gasp.fetching.transfer import DownloadError
    from gasp.published.working_folder import prepare
    from gasp.weights import Store, ensure_all
    from gasp.weights.catalogue import find_entries
    from gasp.weights.download import terms_of

    find_datasets(args.datasets)
    entries = list({entry.name: entry for name in args.models for entry in find_entries(name)}.values())
    written = prepare(args.working_dir)
    if not args.quiet and written:
        print(f"{args.working_dir}: {len(written)} files of splits and presets")
    store = Store.from_environment(args.working_dir)
    terms = terms_of(entries, store)
    accepted = args.accept_license or _is_accepted(terms)
    models = [entry.name for entry in entries if accepted or not terms_of([entry], store)]
    problems: list[str] = []
    fetched: dict[str, Path] = {}
    with progress_bar(args.quiet) as progress:

        def fetch_models(names: Sequence[str]) -> dict[str, Path]:
            return ensure_all(names, accept_license=accepted, store=store, progress=progress)

        def attempt(names: Sequence[str], get: Callable[[Sequence[str]], dict[str, Path]]) -> None:
            try:
                fetched.update(get(names) if names else {})
            except GaspError as error:
                problems.append(str(error))

        attempt(args.datasets, lambda names: fetch_datasets(names, store, progress))
        attempt(models, fetch_models)
        if accepted and any(entry.network in _LOOK_AT_FACES for entry in entries):
            _fetch_detector(fetch_models)
    if not args.quiet:
        print("".join(f"{name}\t{path}\n" for name, path in fetched.items()), end="")
    if terms and not accepted:
        refused = (
            f"not fetched, because their terms do not clearly allow every use:{terms}\n"
            "Read them, and add --accept-license if your use is allowed."
        )
        raise UsageError("\n".join([*problems, refused]))
    if problems:
        raise DownloadError("\n".join(problems))
    return 0


_LOOK_AT_FACES = ("esr9", "gaze360", "videogaze")


def _is_accepted(terms: str) -> bool:
    """Whether somebody at the terminal accepts these terms; where nobody is there, only no terms are accepted."""
    if not terms or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return not terms
    print(f"The terms of these do not clearly allow every use:{terms}", file=sys.stderr)
    return input("Have you read them, and is your use allowed? [y/N] ").strip().lower() in ("y", "yes")


def _fetch_detector(fetch: Callable[[Sequence[str]], object]) -> None:
    """The face detector that the generators need besides; in 2021 it came by itself when they first ran."""
    from gasp.errors import GaspError

    try:
        fetch(["s3fd"])
    except GaspError as error:
        logging.getLogger(__name__).warning(
            "the face detector that InferGenerator* need was not fetched (`gasp download s3fd` tries again): %s",
            error,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The console command."""
    from gasp.published.commands.program import run_program

    return run_program(
        "gasp_download_manager",
        "Prepares a working directory and fetches datasets and models into it.",
        add_arguments,
        run,
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
