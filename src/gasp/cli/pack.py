"""``gasp pack``: folders of pictures into a compact store for training, and back."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gasp.config.sizes import read_size

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
    from gasp.cli.progress import progress_bar
    from gasp.datasets.grouped import choose_videos
    from gasp.datasets.store import PackedStore, pack
    from gasp.errors import UsageError

    if args.verify:
        problems = PackedStore(args.folder).verify()
        print("\n".join(problems) or f"{args.folder}: every file is as it was packed")
        return 1 if problems else 0
    if args.output is None:
        raise UsageError("say with -o where to write")
    with progress_bar(args.quiet) as report:
        if args.unpack:
            PackedStore(args.folder).unpack(args.output, report=report)
            return 0
        summary = pack(
            args.folder,
            args.output,
            read_options(args),
            videos=choose_videos(args.folder, args.split or (), _names(args.datasets)),
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

    given = {"maps": _names(args.maps), "targets": _names(args.targets)}
    names: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return PackSettings(
        **names,
        size=read_size(args.size, "--size"),
        target_size=read_size(args.target_size, "--target-size"),
    )


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())
