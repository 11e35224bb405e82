"""Options of recordings of eye trackers: where the video was on the screen, when it began, whose eye."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gasp.datasets.recordings.viewing import Placement


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of commands that read such recordings."""
    group = parser.add_argument_group("recordings of eye trackers (see docs/recordings.md)")
    group.add_argument("--screen", metavar="WxH", help="size of the screen in pixels (as the files say)")
    group.add_argument(
        "--video-rect",
        metavar="X,Y,W,H",
        help="where the video was on it (as the files say, or in its middle)",
    )
    group.add_argument(
        "--gaze-start", type=float, default=0.0, metavar="S",
        help="seconds from the start that the files tell to the video's first picture (0)",
    )  # fmt: skip
    group.add_argument(
        "--eye",
        choices=("left", "right"),
        default="left",
        help="which counts where both were recorded (left)",
    )


def placement(options: argparse.Namespace) -> Placement:
    """What the options say. Raises :class:`~gasp.errors.UsageError`."""
    from gasp.config.sizes import read_size
    from gasp.datasets.recordings.viewing import Placement, Rectangle
    from gasp.errors import UsageError

    screen = None
    if options.screen is not None:
        height, width = read_size(options.screen, "--screen")
        screen = width, height
    rectangle = None
    if options.video_rect is not None:
        try:
            x, y, width_of, height_of = map(float, options.video_rect.split(","))
        except ValueError:
            raise UsageError(
                f"--video-rect {options.video_rect!r}: write x,y,width,height in pixels of the screen, for example "
                "320,180,1280,720"
            ) from None
        rectangle = Rectangle(x, y, width_of, height_of)
    return Placement(screen, rectangle, options.gaze_start, options.eye)
