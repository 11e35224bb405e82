"""``python -m gasp.messages.filter COMMAND``: a shell command that turns pictures into maps, as a pipeline's program.

For every frame the command is run anew; it is given the frame as a grey PGM picture (binary, "P5", with a head of three
lines) and writes the map as a PGM or PPM picture, plain or binary, of any size.
"""

from __future__ import annotations

import io
import subprocess
import sys

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gasp.messages.serving import SeenFrame, serve_cue


def main() -> None:
    """Serves the command that is the only argument."""
    [command] = sys.argv[1:]
    serve_cue(lambda frame: run_filter(command, frame))


def run_filter(command: str, frame: SeenFrame) -> NDArray[np.uint8]:
    """The map that the command makes of the frame. Raises ValueError where it fails or writes no picture."""
    grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    given = b"P5\n%d %d\n255\n" % (width, height) + grey.tobytes()
    done = subprocess.run(["/bin/sh", "-c", command], input=given, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise ValueError(f"the filter {command!r} ended with status {done.returncode}")
    try:
        with Image.open(io.BytesIO(done.stdout), formats=("PPM",)) as picture:
            return np.asarray(picture.convert("L" if picture.mode in ("1", "L", "I") else "RGB"))
    except OSError as error:
        raise ValueError(
            f"the filter {command!r} wrote no PGM or PPM picture, but {len(done.stdout)} bytes that begin with "
            f"{done.stdout[:16]!r} ({error})"
        ) from error


if __name__ == "__main__":
    main()
