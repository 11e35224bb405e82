"""``gasp node``: predictions for other programs, over ZeroMQ."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gasp.messages.zeromq import load_zmq
from gasp.node.protocol import ADDRESS, LIMIT_MIB

if TYPE_CHECKING:
    from gasp.config.settings import PredictSettings
    from gasp.node.settings import NodeSettings

EPILOG = """\
Clients send frames, raw or as JPEG, and get the map, the focus and the people of each: gasp.NodeClient in Python, or
any program that speaks ZeroMQ (docs/node.md has the protocol). Programs on this machine reach the node; to serve others
make keys first. Ctrl-C ends it.

examples:
  gasp node
  gasp node --address ipc:///tmp/gasp.sock --threads 2
  gasp node --make-keys keys
  gasp node --address tcp://*:5577 --keys keys
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    serving = parser.add_argument_group("serving")
    serving.add_argument(
        "--address", default=ADDRESS, metavar="ADDRESS", help="tcp:// or ipc:// (%(default)s)"
    )
    serving.add_argument(
        "--keys", type=Path, metavar="FOLDER", help="CURVE keys: only clients in it are served"
    )
    serving.add_argument("--make-keys", type=Path, metavar="FOLDER", help="only make such keys")
    serving.add_argument(
        "--limit", type=float, default=LIMIT_MIB, metavar="MIB", help="largest message (%(default)s)"
    )
    serving.add_argument("--clients", type=int, default=8, metavar="N", help="at the same time (%(default)s)")
    serving.add_argument(
        "--idle",
        type=float,
        default=60,
        metavar="SECONDS",
        help="forget a client that is silent (%(default)s)",
    )
    serving.add_argument(
        "--status",
        type=float,
        default=10,
        metavar="SECONDS",
        help="between two lines of status (%(default)s)",
    )
    looking = parser.add_argument_group("prediction")
    looking.add_argument(
        "--pipeline",
        metavar="NAME|FILE",
        help="a preset (see gasp presets), or a YAML or JSON file (default)",
    )
    looking.add_argument("--cues", metavar="A,B,...", help="only these cues of the pipeline (all)")
    looking.add_argument(
        "--faces", metavar="DETECTOR", help="glance, yunet, s3fd, or none (what the pipeline says)"
    )
    looking.add_argument("--no-sound", action="store_true", help="do not use the sound")
    looking.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    looking.add_argument("--precision", metavar="NAME", help="float32 (default), bfloat16, or float16")
    looking.add_argument("--threads", type=int, metavar="N", help="threads of the CPU (PyTorch's choice)")
    looking.add_argument(
        "--why", type=float, metavar="SECONDS", help="between two looks at contributions (2); 0: none"
    )
    parser.add_argument("--json", action="store_true", help="print lines of JSON")


def run(options: argparse.Namespace) -> int:
    """Serves until it is asked to end, which is no failure."""
    if options.make_keys is not None:
        return _make_keys(options)
    serving = _serving(options)
    serving.check()
    load_zmq()

    from gasp.node.server import NodeServer
    from gasp.pipeline.predictor import Predictor
    from gasp.work.interrupts import noted_end

    settings = _settings(options)
    with noted_end() as ended, NodeServer(Predictor.load(settings), serving) as node:
        say = _say_nothing if options.quiet else _say_json if options.json else _say
        say({"event": "ready", "address": node.address, "pipeline": settings.pipeline.name})
        node.serve(ended, lambda status: say({"event": "status", **status}), options.status)
        say({"event": "ended", **node.status()})
    return 0


def _make_keys(options: argparse.Namespace) -> int:
    from gasp.node.keys import make_keys

    files = [str(path) for path in make_keys(options.make_keys)]
    if options.json:
        print(json.dumps({"event": "keys", "files": files}))
    elif not options.quiet:
        print("\n".join(files))
    return 0


def _serving(options: argparse.Namespace) -> NodeSettings:
    from gasp.errors import UsageError
    from gasp.node.settings import NodeSettings

    for name, least, most in (
        ("limit", 0.1, 1024),
        ("clients", 1, 1000),
        ("idle", 0.1, 1e6),
        ("status", 0.1, 1e6),
    ):
        value = getattr(options, name)
        if not least <= value <= most:
            raise UsageError(f"--{name} must be in {least:g}..{most:g}, not {value:g}")
    return NodeSettings(
        options.address, options.keys, round(options.limit * 2**20), options.clients, options.idle
    )


def _settings(options: argparse.Namespace) -> PredictSettings:
    from gasp.config.settings import PredictSettings

    names = ("pipeline", "cues", "faces", "device", "precision", "threads", "why")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return PredictSettings.read({**given, "sound": not options.no_sound})


def _say_nothing(_event: dict[str, Any]) -> None:
    """Nobody wants to know."""


def _say_json(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


def _say(event: dict[str, Any]) -> None:
    print(_WORDS[event["event"]](event), flush=True)


def _status_line(status: dict[str, Any]) -> str:
    clients = len(status["clients"])
    line = (
        f"{clients} client{'' if clients == 1 else 's'}, {status['results_per_second']:.1f} results per second, "
        f"load {100 * status['load']:.0f} %"
    )
    if status["latency_median"] is not None:
        line += (
            f", latency {1000 * status['latency_median']:.0f} ms ({1000 * status['latency_p95']:.0f} at 95 %)"
        )
    return line


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "ready": lambda event: f"ready at {event['address']}, pipeline {event['pipeline']}",
    "status": _status_line,
    "ended": lambda event: f"ended after {event['results']} results",
}
