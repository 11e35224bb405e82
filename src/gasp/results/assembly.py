"""From segments to results: joined videos, tables, maps, report and manifest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gasp.results import manifest as manifests
from gasp.results.key_frames import choose
from gasp.results.maps import ZARR_NAME, gather_zarr
from gasp.results.output_settings import OutputSettings
from gasp.results.report import Thumbnail, render_report
from gasp.results.summary import Summary
from gasp.results.tables import FramesTable, PeopleTable
from gasp.results.work import Segment
from gasp.video import VideoSource
from gasp.video.joining import join_videos

_KEY_FRAMES = 12
_RESULTS = ("overlay.mp4", "grid.mp4", "frames.csv", "people.csv", "maps", "report.html", manifests.NAME)


def assemble(
    segments: list[Segment],
    folder: Path,
    source: VideoSource,
    outputs: OutputSettings,
    manifest: dict[str, Any],
) -> None:
    """Write all results of ``segments`` into the empty folder ``folder``; the segments stay as they are."""
    summary = Summary()
    modalities = list(dict.fromkeys(name for segment in segments for name in segment.modalities))
    found = {name for segment in segments for name in segment.found}
    with ExitStack() as stack:
        frames = stack.enter_context(FramesTable(folder / "frames.csv", modalities))
        people = stack.enter_context(PeopleTable(folder / "people.csv", found))
        for segment in segments:
            for record in segment.records():
                frames.write(record)
                people.write(record)
                summary.add(record)
    for name, wanted in (("overlay.mp4", outputs.overlay), ("grid.mp4", outputs.grid)):
        if wanted:
            _join(segments, folder / name, source, manifest["status"] == "partial")
    if outputs.maps:
        _gather_maps(segments, folder / "maps", outputs.maps)
    if outputs.report:
        page = render_report(manifest, summary, list(_thumbnails(segments)))
        (folder / "report.html").write_text(page, encoding="utf-8")
    manifest["files"] = [name for name in _RESULTS if (folder / name).exists()]
    manifests.write_manifest(folder / manifests.NAME, manifest)


def publish(assembled: Path, folder: Path) -> None:
    """Move complete results to their place, in the stead of older ones.

    The manifest goes first and comes last: while there is none, nobody takes the folder for complete.
    """
    (folder / manifests.NAME).unlink(missing_ok=True)
    for name in _RESULTS:
        _remove(folder / name)
        _remove(folder / partial_name(name))
        if (assembled / name).exists() and name != manifests.NAME:
            os.replace(assembled / name, folder / name)
    os.replace(assembled / manifests.NAME, folder / manifests.NAME)


def publish_partial(assembled: Path, folder: Path) -> None:
    """Move unfinished results to ``<stem>.partial<suffix>``, beside complete ones of an earlier run.

    The manifest is ``run.json`` unless that belongs to such an earlier run.
    """
    earlier = manifests.read_manifest(folder)
    keep = earlier is not None and earlier.get("status") == "complete"
    for name in _RESULTS:
        target = folder / (name if name == manifests.NAME and not keep else partial_name(name))
        _remove(target)
        if (assembled / name).exists():
            os.replace(assembled / name, target)


def partial_name(name: str) -> str:
    """``overlay.partial.mp4`` for ``overlay.mp4``."""
    path = Path(name)
    return f"{path.stem}.partial{path.suffix}"


def _join(segments: list[Segment], path: Path, source: VideoSource, partial: bool) -> None:
    pieces = [(segment.folder / path.name, segment.start) for segment in segments]
    sound = source.path or source.read_sound(48000)
    end = segments[-1].end + 1 / source.fps if partial else None
    join_videos(pieces, path, sound_from=sound if source.has_sound else None, sound_end=end)


def _gather_maps(segments: list[Segment], folder: Path, kind: str) -> None:
    folder.mkdir()
    files = [file for segment in segments for file in sorted((segment.folder / "maps").iterdir())]
    if kind == "zarr":
        gather_zarr(files, folder / ZARR_NAME)
        return
    for file in files:
        _link(file, folder / file.name)


def _link(file: Path, target: Path) -> None:
    """The same file under another name, copied where the disk knows no links."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def _thumbnails(segments: list[Segment]) -> Iterator[Thumbnail]:
    candidates = {key: segment for segment in segments for key in segment.key_frames}
    for key in choose(list(candidates), _KEY_FRAMES):
        yield Thumbnail(key.frame, key.time, candidates[key].thumbnail(key).read_bytes())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
