"""``gasp generate``: the cue maps and targets of a dataset."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from gasp.cli import recordings

if TYPE_CHECKING:
    from gasp.datasets.video_set import VideoSet
    from gasp.runs.generate import GenerateSummary

EPILOG = """\
DATASET is coutrot1, coutrot2, diem, findwho or summeetmd (looked for where the 2021 layout has them), or, with
--folder, any name for videos of your own with fixations.csv. Writes
OUTPUT/Grouped_frames/<dataset>/<video>/<frame>/<name>_1.jpg. An interrupted run goes on where it stopped; a second
run does nothing.

examples:
  gasp generate diem --split train_ave --split validation_ave --split test_ave
  gasp generate talks --folder recordings -o processed --size 240x120 --jobs 4
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.add_argument("dataset", metavar="DATASET", help="name of the dataset")
    parser.add_argument("--folder", type=Path, help="where its videos and gaze are")
    parser.add_argument("-o", "--output", type=Path, default=Path("datasets/processed"), help="(%(default)s)")
    parser.add_argument("--split", action="append", metavar="NAME", help="only the videos of this list")
    parser.add_argument(
        "--scene-type", metavar="TYPE", default="Social", help="of a list (%(default)s); or all"
    )
    parser.add_argument("--videos", nargs="+", metavar="ID", help="only these videos")
    parser.add_argument("--size", metavar="WxH", default="500x500", help="of the pictures (%(default)s)")
    parser.add_argument("--no-targets", action="store_true", help="no density and fixation maps")
    parser.add_argument(
        "--kernel", choices=("authors", "2021"), default="authors",
        help="whose density maps: the set's authors' (default), or those of 2021 where they differ (findwho)",
    )  # fmt: skip
    parser.add_argument("--prediction", action="store_true", help="also the fused map")
    parser.add_argument(
        "--pipeline", metavar="NAME", help="whose cues: a pipeline of `gasp presets`, or a file"
    )
    parser.add_argument("--cues", metavar="A,B,...", help="which maps (all of the pipeline)")
    parser.add_argument("--faces", metavar="DETECTOR", help="glance (default), yunet, s3fd, or none")
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("--batch", type=int, metavar="N", help="frames computed together (8)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the CPU of each job")
    parser.add_argument(
        "--piece", type=int, metavar="N", help="frames after which an interrupted run can go on (chosen)"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="videos at a time (%(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="begin anew even where frames are there")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    recordings.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Generates; exit status 1 when a video failed."""
    from gasp.cli.progress import progress_bar
    from gasp.config.settings import PredictSettings
    from gasp.config.sizes import read_size
    from gasp.datasets.sets import open_set
    from gasp.results.grouped import GenerateSettings
    from gasp.runs.generate import generate
    from gasp.work.interrupts import stop_politely

    given = {
        name: getattr(args, name)
        for name in ("pipeline", "cues", "faces", "device", "batch", "threads", "piece")
        if getattr(args, name) is not None
    }
    settings = PredictSettings.read({**given, "why": 0})
    options = GenerateSettings(
        size=read_size(args.size, "--size"), targets=not args.no_targets, prediction=args.prediction
    )
    videos = open_set(args.dataset, args.folder, kernel=args.kernel, placement=recordings.placement(args))
    names = _names(videos, args)
    with stop_politely(), progress_bar(args.quiet, 0 if args.quiet else _frames(videos, names)) as report:
        summary = generate(
            videos, names, args.output, settings, options,
            jobs=args.jobs, overwrite=args.overwrite, report=report,
        )  # fmt: skip
    if args.json:
        print(json.dumps(_plain(summary, videos), indent=2))
    elif not args.quiet:
        new = [video for video in summary.done if not video.unchanged]
        print(
            f"{args.output}/Grouped_frames/{videos.name}: {len(new)} videos generated "
            f"({sum(v.frames for v in new)} frames), {len(summary.done) - len(new)} were there, "
            f"{len(summary.failed)} failed"
            + "".join(f"; {count} {what}" for what, count in videos.skipped.items())
        )
    return 1 if summary.failed else 0


def _frames(videos: VideoSet, names: list[str]) -> int:
    """Frames of all these videos, as far as they can be opened."""
    from gasp.errors import InputError

    total = 0
    for name in names:
        try:
            total += videos.video(name).frames
        except InputError:
            continue  # said when its turn comes
    return total


def _plain(summary: GenerateSummary, videos: VideoSet) -> dict[str, object]:
    done = [
        {"video": v.video, "frames": v.frames, "unchanged": v.unchanged, "events": v.events}
        for v in summary.done
    ]
    return {"videos": done, "failed": summary.failed, "skipped": videos.skipped}


def _names(videos: VideoSet, args: argparse.Namespace) -> list[str]:
    names = videos.ids
    if args.split:
        scene_type = None if args.scene_type == "all" else args.scene_type
        from gasp.datasets.split import split_videos

        names = split_videos(videos, args.split, scene_type)
    for video in args.videos or ():
        videos.video(video)  # says which are known
    return [name for name in names if not args.videos or name in args.videos]
