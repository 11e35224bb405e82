"""``gasp_train`` of 2021: trains a preset in the current directory, and runs inference presets with the result."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gasp.config.experiments import Experiment

logger = logging.getLogger(__name__)

EPILOG = """\
An interrupted training goes on when the same command is given again.
Comet: COMET_KEY and COMET_WORKSPACE name the account; COMET_MODE=offline logs into an archive.

example, the best network of the paper:
  gasp_train --train_config GASPExp002_SeqDAMALSTMGMU1x1Conv_10Norm --infer_configs InferMetricsGASPTrain \\
    --checkpoint_save_every_n_epoch 50 --checkpoint_save_n_top 5 --check_val_every_n_epoch 49 --max_epochs 2000 \\
    --gpus "0," --logger_name comet --val_store_image_samples --compute_metrics

presets:
"""

PRECISIONS = {"32": "float32", "16": "float16", "bf16": "bfloat16"}

NEEDLESS = (
    "amp_backend", "amp_level", "auto_select_gpus", "benchmark", "checkpoint_callback", "deterministic",
    "flush_logs_every_n_steps", "log_every_n_steps", "log_gpu_memory", "move_metrics_to_cpu",
    "multiple_trainloader_mode", "num_sanity_val_steps", "prepare_data_per_node", "process_position",
    "progress_bar_refresh_rate", "reload_dataloaders_every_epoch", "replace_sampler_ddp", "sync_batchnorm",
    "terminate_on_nan", "weights_summary",
)  # fmt: skip
"""Options of Lightning 1.3's trainer that change nothing in what is learnt here."""

_ELSEWHERE = "write an experiment file and use `gasp train`; see its field "
ANSWERS = {
    "auto_scale_batch_size": "the batch is the preset's batch_size",
    "default_root_dir": "paths are relative to the current directory",
    "gradient_clip_algorithm": "gradients are clipped by their norm",
    "limit_predict_batches": "the lists of videos say what is predicted",
    "limit_test_batches": "the lists of videos say what is tested",
    "limit_train_batches": "the lists of videos say what is learnt from; --max_steps ends sooner",
    "limit_val_batches": "the lists of videos say what is validated on",
    "logger": "use --logger_name",
    "max_time": "use --max_epochs; an interrupted training goes on when the command is given again",
    "min_epochs": "training always lasts --max_epochs",
    "min_steps": "training always lasts --max_epochs",
    "overfit_batches": "name a short list of videos in a JSON file (--train_config_file)",
    "plugins": "there is no plug-in to choose",
    "profiler": "use `gasp train --profile`",
    "resume_from_checkpoint": "an interrupted training goes on by itself when the same command is given again; to "
    f"begin with other weights, {_ELSEWHERE}trainer.start_from",
    "stochastic_weight_avg": f"for a moving average of the weights, {_ELSEWHERE}trainer.average",
    "tpu_cores": "TPUs are not supported",
    "track_grad_norm": "norms of gradients are not logged",
    "truncated_bptt_steps": "windows are always learnt from as a whole",
    "val_check_interval": "validation follows whole epochs, see --check_val_every_n_epoch",
    "weights_save_path": "checkpoints go to the preset's checkpoint_model_dir",
}
"""Options of Lightning 1.3's trainer that are refused -> what to do instead."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    from gasp.config.presets2021 import summaries

    parser.epilog = EPILOG + "\n".join(
        f"  {name}\n      {summary}" for name, summary in summaries("training").items()
    )
    presets = parser.add_argument_group("presets")
    presets.add_argument(
        "--train_config",
        default="TrainPlayground001",
        metavar="NAME",
        help="a preset, see below (%(default)s)",
    )
    presets.add_argument(
        "--train_config_file", type=Path, metavar="FILE", help="a preset as JSON, in place of --train_config"
    )
    presets.add_argument(
        "--infer_configs", nargs="+", default=[], metavar="NAME", help="inference presets to run afterwards"
    )
    presets.add_argument(
        "--infer_config_files", nargs="+", default=[], type=Path, metavar="FILE",
        help="inference presets as JSON, in place of --infer_configs",
    )  # fmt: skip
    presets.add_argument(
        "--compute_metrics", action="store_true", help="compute metrics in the inference that follows"
    )
    logs = parser.add_argument_group("logs and checkpoints")
    logs.add_argument(
        "--logger_name", choices=("comet", "tensorboard", ""), metavar="NAME",
        help='comet, tensorboard, or "" for the local table alone (the preset\'s)',
    )  # fmt: skip
    logs.add_argument("--val_store_image_samples", action="store_true", help="store pictures at validation")
    logs.add_argument(
        "--checkpoint_save_every_n_epoch", type=int, default=1000, metavar="N", help="epochs (%(default)s)"
    )
    logs.add_argument(
        "--checkpoint_save_n_top",
        type=int,
        default=3,
        metavar="N",
        help="best checkpoints kept (%(default)s)",
    )
    _add_trainer_options(parser.add_argument_group("trainer"))


def _add_trainer_options(trainer: Any) -> None:
    trainer.add_argument(
        "--gpus", metavar="GPUS", default="",
        help='"0," the first, "0,2" these two, "2" two, "-1" all; "" or "0" none (none)',
    )  # fmt: skip
    trainer.add_argument("--max_epochs", type=int, default=1000, metavar="N", help="epochs (%(default)s)")
    trainer.add_argument("--max_steps", type=int, metavar="N", help="end after so many steps at the latest")
    trainer.add_argument(
        "--check_val_every_n_epoch", type=int, default=1, metavar="N", help="epochs (%(default)s)"
    )
    trainer.add_argument(
        "--accumulate_grad_batches", type=int, default=1, metavar="N", help="batches per step (%(default)s)"
    )
    trainer.add_argument(
        "--gradient_clip_val", type=float, default=0.0, metavar="NORM", help="greatest norm (any)"
    )
    trainer.add_argument(
        "--precision", choices=PRECISIONS, default="32", help="of numbers, in bits (%(default)s)"
    )
    trainer.add_argument(
        "--auto_lr_find",
        nargs="?",
        const="true",
        default="",
        metavar="true",
        help="look for a learning rate first",
    )
    trainer.add_argument("--num_nodes", type=int, default=1, metavar="N", help="machines (%(default)s)")
    trainer.add_argument(
        "--num_processes", type=int, default=1, metavar="N", help="processes without GPUs (%(default)s)"
    )
    trainer.add_argument(
        "--accelerator", "--distributed_backend", metavar="NAME", help="ddp, which it is anyway"
    )
    trainer.add_argument(
        "--fast_dev_run",
        nargs="?",
        type=int,
        const=1,
        default=0,
        metavar="STEPS",
        help="a try of so few steps",
    )
    for name in (*NEEDLESS, *ANSWERS):
        trainer.add_argument(f"--{name}", nargs="?", const="true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Trains, then runs the inference presets; exit status 1 when a video of theirs failed."""
    experiment = read_options(args)
    from gasp.cli.progress import progress_bar
    from gasp.published.commands.program import use_working_directory
    from gasp.training.extras import extra

    use_working_directory()
    with extra("train"):
        from lightning.pytorch.utilities import rank_zero_only

        from gasp.published.follow_up import find_plans, follow_up
        from gasp.training.train import train
    plans = find_plans(
        args.infer_configs, args.infer_config_files, experiment,
        compute_metrics=args.compute_metrics, device=_inference_device(experiment),
    )  # fmt: skip
    with progress_bar(args.quiet) as report:
        done = train(experiment, report=report)
    if getattr(rank_zero_only, "rank", 0):
        return 0  # the first of several processes does the rest
    if not args.quiet:
        print(f"weights: {done.last_model}")
        print(f"logs: {done.log_folder}")
    with progress_bar(args.quiet) as report_frames:
        followed = follow_up(plans, experiment, done.last_model, done.log_folder, report=report_frames)
    if not args.quiet:
        for name, summary in followed.items():
            print(f"{name}:", *summary.done, sep="\n  ")
    return 1 if any(summary.failed for summary in followed.values()) else 0


def read_options(args: argparse.Namespace) -> Experiment:
    """The experiment that the options ask for. Raises :class:`~gasp.errors.UsageError` for those that mean nothing
    any more.
    """
    from gasp.config.base import SUFFIXES
    from gasp.config.experiments import read_experiment
    from gasp.errors import UsageError

    _answer(args)
    if args.train_config_file is not None and args.train_config_file.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--train_config_file {args.train_config_file}: give a file that ends with .json")
    experiment = read_experiment(args.train_config_file or args.train_config)
    logging_options: dict[str, Any] = {}
    if args.logger_name is not None:
        logging_options["logger"] = args.logger_name or "csv"
    if args.val_store_image_samples:
        logging_options["pictures"] = True
    trainer = {
        "max_epochs": 1 if args.fast_dev_run else args.max_epochs,
        "max_steps": args.fast_dev_run or max(0, args.max_steps or 0),
        "validate_every": args.check_val_every_n_epoch,
        "checkpoint_every": args.checkpoint_save_every_n_epoch,
        "checkpoint_best": args.checkpoint_save_n_top,
        "accumulate": args.accumulate_grad_batches,
        "precision": PRECISIONS[args.precision],
        "nodes": args.num_nodes,
        **_devices(args),
    }
    optimiser = {"clip": args.gradient_clip_val, "find_rate": args.auto_lr_find.lower() not in ("", "false")}
    return experiment.replaced(trainer=trainer, optimiser=optimiser, logging=logging_options)


def _answer(args: argparse.Namespace) -> None:
    """Says which options have no effect, and refuses those that would have one."""
    from gasp.errors import UsageError

    refused = [f"--{name}: {what}" for name, what in ANSWERS.items() if getattr(args, name) is not None]
    if args.accelerator not in (None, "ddp", "ddp_spawn", "ddp_cpu"):
        refused.append(
            f"--accelerator {args.accelerator}: several processes always share their gradients (ddp)"
        )
    if refused:
        raise UsageError("; ".join(refused))
    needless = [f"--{name}" for name in NEEDLESS if getattr(args, name) is not None]
    if needless:
        logger.warning("%s: without effect here", ", ".join(needless))


def _devices(args: argparse.Namespace) -> dict[str, Any]:
    """What to compute on. Lightning 1.3 read "0" as no GPU and "0," as the first."""
    from gasp.errors import UsageError

    wanted = args.gpus.replace(" ", "")
    if wanted in ("", "0"):
        return {"accelerator": "cpu", "devices": str(args.num_processes)}
    numbers = [part for part in wanted.split(",") if part]
    if not numbers or (not all(part.isdecimal() for part in numbers) and wanted != "-1"):
        raise UsageError(
            f'--gpus {args.gpus!r}: give "0," for the first GPU, "0,1" for two, or a number of GPUs'
        )
    from torch import cuda

    from gasp.published.commands.program import gpu_there

    if not gpu_there(f"--gpus {args.gpus!r}"):
        return {"accelerator": "cpu", "devices": str(args.num_processes)}
    there = cuda.device_count()
    needed = 1 if wanted == "-1" else max(map(int, numbers)) + 1 if "," in wanted else int(wanted)
    if needed > there:
        raise UsageError(f"--gpus {args.gpus!r}: this machine has {there}")
    return {"accelerator": "gpu", "devices": wanted}


def _inference_device(experiment: Experiment) -> str | None:
    """The first GPU that was trained on; without one the presets' own device, the CPU."""
    if experiment.trainer.accelerator == "cpu":
        return None
    named = experiment.trainer.devices
    return f"cuda:{named.split(',')[0] if ',' in named else 0}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The console command."""
    from gasp.published.commands.program import run_program

    return run_program(
        "gasp_train", "Trains a preset of 2021 in the current directory.", add_arguments, run, arguments
    )


if __name__ == "__main__":
    sys.exit(main())
