"""Makes the pictures of the README from the demo: run `gasp demo` first.

python scripts/make_pictures.py [demo-output]
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2

from gasp.video import open_source

FRAME = 312
"""A frame in which both people are to be seen and one speaks."""


def main() -> None:
    """Cuts one frame out of the grid video."""
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output") / "clip"
    target = Path(__file__).parent.parent / "docs" / "images" / "demo.jpg"
    with open_source(demo / "grid.mp4") as source:
        frame = next(source.frames(FRAME))
    height, width = frame.image.shape[:2]
    wide = 1280
    size = (wide, round(height * wide / width))
    picture = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
    picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(target)


if __name__ == "__main__":
    main()
