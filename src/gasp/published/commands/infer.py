"""``gasp_infer`` of 2021: runs an inference preset in the working directory."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    from gasp.config.presets2021 import summaries

    listed = "\n".join(f"  {name}\n      {summary}" for name, summary in summaries("inference").items())
    parser.epilog = f"presets:\n{listed}"
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--infer_config", metavar="NAME", help="a preset, see below")
    which.add_argument("--infer_config_file", type=Path, metavar="FILE", help="a preset as JSON")
    parser.add_argument("--gpu", type=int, metavar="N", help="the GPU to use (default: the preset's device)")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="videos that are generated at a time"
    )
    parser.add_argument("--overwrite", action="store_true", help="begin anew even where frames are there")


def run(args: argparse.Namespace) -> int:
    """Runs the preset; exit status 1 when a video failed."""
    from gasp.cli.progress import progress_bar
    from gasp.config.json2021 import read_inference_file
    from gasp.config.presets2021 import inference_preset
    from gasp.published.commands.program import gpu_there, use_working_directory

    if args.infer_config_file is not None:
        preset, name = read_inference_file(args.infer_config_file), args.infer_config_file.stem
    else:
        preset, name = inference_preset(args.infer_config), args.infer_config
    use_working_directory()

    from gasp.published.infer import run_inference
    from gasp.published.plan import plan_of

    gpu = args.gpu is not None and gpu_there(f"--gpu {args.gpu}")
    plan = plan_of(preset, name, device=f"cuda:{args.gpu}" if gpu else None)
    with progress_bar(args.quiet) as report:
        summary = run_inference(plan, jobs=args.jobs, overwrite=args.overwrite, report=report)
    if not args.quiet:
        print("\n".join(summary.done))
        if plan.metrics is not None:
            print(Path(plan.metrics.table).read_text(encoding="utf-8"))
    return 1 if summary.failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The console command."""
    from gasp.published.commands.program import run_program

    return run_program(
        "gasp_infer",
        "Runs an inference preset of 2021 in the current directory.",
        add_arguments,
        run,
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
