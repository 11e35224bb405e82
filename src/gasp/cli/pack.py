"""``gasp pack``: folders of pictures into a compact store for training, and back."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gasp.datasets.store import PackSettings

EPILOG = """\
packs datasets/processed/Grouped_frames/<dataset>/<video>/<frame>/<name>_1.jpg into one array per video and map. A
second call packs what is new or has changed.

examples:
  gasp pack datasets/processed/Grouped_frames -o store
  gasp pack datasets/processed/Grouped_frames -o store --split train_ave --split validation_ave
  gasp pack --unpack store -o Grouped_frames
  gasp pack --verify store
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.add_argument("folder", metavar="FOLDER", help="the folder Grouped_frames; or a store")
    parser.add_argument("-o", "--output", type=Path, metavar="STORE", help="the store; or the folder")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--unpack", action="store_true", help="write the folders of a store")
    what.add_argument("--verify", action="store_true", help="compare a store with its checksums")
    parser.add_argument("--maps", metavar="A,B,...", help="pictures that become inputs (all detections)")
    parser.add_argument("--targets", metavar="A,B", help="transformed_salmap,transformed_fixmap")
    parser.add_argument("--size", metavar="WxH", default="120x120", help="of inputs (%(default)s)")
    parser.add_argument("--target-size", metavar="WxH", default="60x60", help="of targets (%(default)s)")
    parser.add_argument(
        "--split", action="append", metavar="NAME", help="only the Social videos of this list"
    )
    parser.add_argument("--datasets", metavar="A,B", help="only these datasets")
    parser.add_argument("--overwrite", action="store_true", help="begin anew even where a store is there")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(args: argparse.Namespace) -> int:
    """Pack, unpack or verify; exit status 1 when a video had to be left out."""
    from gasp.cli.progress import frame_progress
    from gasp.datasets.store import PackedStore, pack
    from gasp.errors import UsageError

    if args.verify:
        problems = PackedStore(args.folder).verify()
        print("\n".join(problems) or f"{args.folder}: every file is as it was packed")
        return 1 if problems else 0
    if args.output is None:
        raise UsageError("say with -o where to write")
    with frame_progress(args.quiet) as report:
        if args.unpack:
            PackedStore(args.folder).unpack(args.output, report=report)
            return 0
        summary = pack(
            args.folder,
            args.output,
            read_options(args),
            videos=_videos(args),
            overwrite=args.overwrite,
            report=report,
        )
    if args.json:
        print(json.dumps(summary.__dict__, indent=2))
    elif not args.quiet:
        print(
            f"{args.output}: {len(summary.packed)} videos packed, {len(summary.unchanged)} unchanged, "
            f"{len(summary.refused)} left out"
        )
    return 1 if summary.refused else 0


def read_options(args: argparse.Namespace) -> PackSettings:
    """What to pack, from the command line."""
    from gasp.datasets.store import PackSettings

    names: dict[str, Any] = {
        key: tuple(part.strip() for part in value.split(",") if part.strip())
        for key, value in (("maps", args.maps), ("targets", args.targets))
        if value is not None
    }
    return PackSettings(
        **names,
        size=read_size(args.size, "--size"),
        target_size=read_size(args.target_size, "--target-size"),
    )


def read_size(text: str, option: str) -> tuple[int, int]:
    """(height, width) from "WxH". Raises :class:`gasp.errors.UsageError`."""
    from gasp.errors import UsageError

    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and 0 < int(width) <= 8192 and 0 < int(height) <= 8192):
        raise UsageError(f"{option} = {text!r}: write width x height in pixels, for example 120x120")
    return int(height), int(width)


def _videos(args: argparse.Namespace) -> list[tuple[str, str]] | None:
    """The videos that the options name; None for all."""
    from gasp.datasets.grouped import GroupedFrames
    from gasp.datasets.split import read_split

    datasets = None if args.datasets is None else [name.strip() for name in args.datasets.split(",")]
    if args.split:
        rows = [row for name in args.split for row in read_split(name).only("Social", datasets).rows]
        return list(dict.fromkeys((row.dataset, row.video_id) for row in rows))
    if datasets is None:
        return None
    return [video for video in GroupedFrames(args.folder).videos if video[0] in datasets]
