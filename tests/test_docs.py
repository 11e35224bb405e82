"""The code in the README and the docs runs, and what they link to is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from gasp.demo import clip_path
from gasp.video import VideoWriter, open_source
from helpers.fork_server import ForkServer, forking

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MADE_BY_HAND = ("make ", "pip ")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page: Path) -> list[str]:
    lines = [line.split("#")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(MADE_BY_HAND)]


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """Runs code and commands in processes of their own."""
    with forking() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the video that the documents talk about: the beginning of the demo's clip."""
    folder = tmp_path_factory.mktemp("docs")
    with open_source(clip_path()) as source:
        frames = [frame for frame, _ in zip(source, range(30), strict=False)]
        size = (source.width, source.height, source.fps)
    with VideoWriter(folder / "talk.mp4", *size) as writer:
        for frame in frames:
            writer.write(frame.image, frame.time)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "code", [pytest.param(b, id=f"{p.stem}-{i}") for p in PAGES for i, b in enumerate(blocks(p, "python"))]
)
def test_python_blocks_run(code: str, folder: Path, server: ForkServer) -> None:
    # Blocks of a page may build on the import of an earlier one.
    done = server.run("-c", f"import gasp\n{code}", cwd=folder, timeout=300)
    assert done.status == 0, done.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [pytest.param(c, id=f"{p.stem}: {c}") for p in PAGES for c in commands(p)]
)
def test_commands_run(command: str, folder: Path, server: ForkServer) -> None:
    program, *arguments = shlex.split(command)
    assert program == "gasp"
    done = server.run(*arguments, cwd=folder, timeout=300)
    assert done.status == 0, done.err


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
