"""How often a command that is killed at random moments ends, run again, with other results than an uninterrupted one.

    python benchmarks/resume.py --kills 20

The answer must be never, for predict (with --grid --maps png), generate, pack and evaluate.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers.fork_server import forking
from helpers.killing import cases, kill_and_compare


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="per command (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wrong = 0
    print("| command | runs | kills | failed | other results |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name, forking() as server:
        folder = Path(name)
        known = cases(folder)
        generate = next(case for case in known if case.name == "generate")
        server.run(*generate.words(folder / "frames"), timeout=600)
        for case in known:
            place = folder / case.name
            place.mkdir()
            results = list(kill_and_compare(server, case, place, options.kills, options.seed))
            failed = sum(one["status"] != 0 for one in results)
            other = sum(bool(one["different"]) for one in results)
            killed = sum(one["kills"] for one in results)
            wrong += failed + other
            print(f"| {case.name} | {len(results)} | {killed} | {failed} | {other} |", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
