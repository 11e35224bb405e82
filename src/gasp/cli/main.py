"""The command ``gasp``: finds the command that is wanted and imports only that one."""

from __future__ import annotations

import argparse
import atexit
import logging
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from gasp._version import __version__
from gasp.cli.streams import flush_output, is_output_error, mend_streams, output_problem
from gasp.errors import GaspError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

T = TypeVar("T")

COMMANDS = {
    "predict": "predict where people look in videos and pictures",
    "live": "predict while it happens: camera, stream, screen, or a file at its own speed",
    "evaluate": "score predictions against recorded fixations, beside baselines",
    "node": "predict frames that other programs send, over ZeroMQ",
    "demo": "predict a short clip that ships with the package",
    "presets": "list the pipelines that predict can run, and show what they consist of",
    "models": "list the networks and published checkpoints; export networks",
    "download": "fetch published checkpoints",
    "generate": "compute the cue maps of a dataset",
    "pack": "pack maps of a dataset into a store for training, and back",
    "train": "train the networks that ship with the package",
    "doctor": "check this installation",
}
"""Command -> what it does; each lives in the module of its name beside this one."""

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and tells its exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    mend_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(wanted=next((word for word in given if word in COMMANDS), None))
    options = parse(parser, given)
    if options.command is None:
        return run_command(lambda: _print_help(parser), quiet=False, verbose=False)
    return run_command(
        lambda: int(import_module(f"gasp.cli.{options.command}").run(options)),
        quiet=options.quiet,
        verbose=options.verbose,
    )


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; help and versions that cannot be printed are told as such. Exits as argparse does."""
    try:
        return parser.parse_args(arguments)
    except SystemExit as end:
        raise SystemExit(_end_output(end.code)) from None
    except OSError as error:
        raise SystemExit(_say_unprinted(error)) from None


def _print_help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 0


def run_command(run: Callable[[], int], *, quiet: bool, verbose: bool) -> int:
    """Runs one command; errors become one block on standard error and an exit status."""
    _set_up_logging(quiet, verbose)
    try:
        status = run()
    except GaspError as error:
        _say_error(str(error))
        return error.exit_status
    except KeyboardInterrupt as stop:
        # The end of the interpreter takes a moment; another Ctrl-C would only add a traceback.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
        _say_error(str(stop) or "interrupted")
        return INTERRUPTED
    except OSError as error:
        return _say_unprinted(error)
    return _end_output(status)


def _end_output(status: T) -> T | int:
    """Writes out what was printed; the exit status: this one, or 1 where that cannot be done, which is said."""
    problem = flush_output()
    if problem is None:
        return status
    _say_error(problem)
    return 1


def _say_unprinted(error: OSError) -> int:
    """Says that printing failed, to whoever is still there; the exit status. Raises an error of another kind again."""
    if not is_output_error(error):
        raise error
    flush_output()
    problem = output_problem(error)
    if problem is not None:
        _say_error(problem)
    return 1


class _Parser(argparse.ArgumentParser):
    """One that does not keep silent about help that cannot be printed, as argparse does where nothing is buffered."""

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Prints the help."""
        print(self.format_help(), end="", file=file)


def _parser(wanted: str | None) -> argparse.ArgumentParser:
    """The parser; only the wanted command's module is imported for its options."""
    parser = _Parser(
        prog="gasp", description="Predicts where people look in video with people in it, and says why."
    )
    parser.add_argument("--version", action="version", version=f"gasp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, what in COMMANDS.items():
        sentence = f"{what[0].upper()}{what[1:]}."
        command = commands.add_parser(
            name, help=what, description=sentence, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == wanted:
            import_module(f"gasp.cli.{name}").add_arguments(command)
            loudness = command.add_mutually_exclusive_group()
            loudness.add_argument("-q", "--quiet", action="store_true", help="say only what went wrong")
            loudness.add_argument("-v", "--verbose", action="store_true", help="say what is being done")
    return parser


def _set_up_logging(quiet: bool, verbose: bool) -> None:
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    handler = logging.StreamHandler()
    handler.setFormatter(_Plain())
    root = logging.getLogger("gasp")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False


class _Plain(logging.Formatter):
    """``gasp: warning: what happened``."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"gasp: {level}{record.getMessage()}"


def _say_error(message: str) -> None:
    # Paths and options stay whole, so that they can be copied.
    block = textwrap.fill(
        f"gasp: error: {message}", 100, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    with suppress(OSError):  # there may be nowhere left to complain
        print(block if "\n" not in message else f"gasp: error: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
