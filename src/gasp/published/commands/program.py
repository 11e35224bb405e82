"""What the four commands of 2021 share: options, messages and exit status as those of ``gasp``."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from gasp._version import __version__

logger = logging.getLogger(__name__)


def run_program(
    name: str,
    description: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None,
) -> int:
    """Parses the command line and runs; 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    from gasp.cli.main import parse, run_command
    from gasp.cli.streams import mend_streams

    mend_streams()
    parser = argparse.ArgumentParser(
        prog=name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"{name} (gasp {__version__})")
    add_arguments(parser)
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="say only what went wrong")
    loudness.add_argument("-v", "--verbose", action="store_true", help="say what is being done")
    options = parse(parser, arguments)
    return run_command(lambda: run(options), quiet=options.quiet, verbose=options.verbose)


def use_working_directory() -> None:
    """Weights lie in the current directory, where it is a working directory of 2021."""
    if Path("gazenet/models").is_dir():
        os.environ.setdefault("GASP_CWD", str(Path.cwd()))


def gpu_there(option: str) -> bool:
    """Whether this machine has a GPU. The commands of 2021 name one as a matter of course: where there is none, it is
    said that the CPU does the work.
    """
    from torch import cuda

    there = cuda.device_count() > 0
    if not there:
        logger.warning("%s: this machine has no GPU that PyTorch can use; the CPU does the work", option)
    return there
