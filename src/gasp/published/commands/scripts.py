"""``gasp_scripts`` of 2021: small chores in the working directory."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--working_dir", type=Path, default=Path(), metavar="PATH", help="(%(default)s)")
    parser.add_argument("--scripts", nargs="+", required=True, metavar="NAME", help=", ".join(SCRIPTS))


def run(args: argparse.Namespace) -> int:
    """Runs the scripts in order, after checking all names."""
    from gasp.errors import UsageError
    from gasp.naming import nearest

    for name in args.scripts:
        if name not in SCRIPTS:
            raise UsageError(f"there is no script {name!r}{nearest(name, SCRIPTS)}")
    for name in args.scripts:
        said = SCRIPTS[name](args.working_dir)
        if not args.quiet:
            print(f"{name}: {said}")
    return 0


def _take_targets(root: Path) -> str:
    from gasp.datasets.stavis_targets import take_stavis_targets

    summary = take_stavis_targets(
        root / "datasets/processed/Grouped_frames", root / "datasets/stavis_preprocessed"
    )
    lacking = "".join(f", {count} {what} without prepared maps" for what, count in summary.missing.items())
    return f"{summary.frames} frames have the targets prepared by STAViS{lacking}"


def _write_configs(root: Path) -> str:
    from gasp.config.json2021 import write_presets
    from gasp.published.working_folder import CONFIGS

    return f"{len(write_presets(root / CONFIGS))} presets in {root / CONFIGS}"


def _clean_temp(root: Path) -> str:
    from gasp.published.working_folder import clean_temp

    return f"{clean_temp(root)} entries removed"


SCRIPTS = {
    "postprocess_get_from_stavis": _take_targets,
    "generate_config_files": _write_configs,
    "clean_temp": _clean_temp,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The console command."""
    from gasp.published.commands.program import run_program

    return run_program("gasp_scripts", "Chores in the working directory.", add_arguments, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
