"""A cue in Python: what is redder than the rest of the picture, stronger in faces."""

import numpy as np

from gasp.messages import SeenFrame, serve_cue


def look(frame: SeenFrame):
    """The map of the frame, and what is said of its faces."""
    red, green, blue = np.moveaxis(frame.image.astype(np.float32), 2, 0)
    redness = np.clip(red - (green + blue) / 2, 0, 255)
    found = {}
    for face in frame.faces:
        left, top, right, bottom = (max(0, round(side)) for side in face.box)
        inside = redness[top:bottom, left:right]
        found[face.id] = {"redness": float(inside.mean()) if inside.size else 0.0}
        inside *= 1.5
    return np.clip(redness, 0, 255).astype(np.uint8), found


serve_cue(look)
