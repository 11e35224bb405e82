"""Commands that are killed with SIGKILL at random moments end, run again, with what they would have left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.fork_server import ForkServer, forking
from helpers.killing import Case, cases, kill_and_compare

KILLS = 3


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with forking() as one:
        yield one


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, server: ForkServer) -> dict[str, Case]:
    folder = tmp_path_factory.mktemp("material")
    found = {case.name: case for case in cases(folder)}
    done = server.run(*found["generate"].words(folder / "frames"), timeout=300)  # what is packed
    assert done.status == 0, done.err
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["predict", "generate", "pack", "evaluate"])
def test_killed_and_run_again_is_as_if_never_killed(
    name: str, server: ForkServer, known: dict[str, Case], tmp_path: Path
) -> None:
    results = list(kill_and_compare(server, known[name], tmp_path, KILLS, seed=11))
    assert [one["err"] for one in results if one["status"] != 0] == []
    assert [one["different"] for one in results] == [[]] * KILLS
