"""Compare gasp.metrics with values of the Matlab code of the MIT Saliency Benchmark, as recorded by others.

    python scripts/check_metrics_matlab.py FOLDER

FOLDER holds ``expected.json`` (per case: metric, names of its maps, value, decimal places that agree) and
the pictures. They are not part of this project, because no licence is stated for them. Exit status 1 when a
value differs by more than its places say (1.5 units of the last one, as in the recorded tests).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from gasp import metrics

# The options that make each metric what the Matlab code computes.
METRICS = {
    "AUC_Judd": lambda s, f: metrics.auc_judd(s, f, thresholds="fixations"),
    "AUC_Borji": lambda s, f: metrics.auc_borji(s, f, step=0.1),
    "AUC_shuffled": lambda s, f, o: metrics.auc_shuffled(s, f, o, step=0.1),
    "NSS": metrics.nss,
    "CC": metrics.cc,
    "SIM": metrics.similarity,
}


def read(folder: Path, name: str, size: tuple[int, int] | None) -> np.ndarray:
    """A saliency map in 0..1, resized where a size is given, or a fixation map."""
    (path,) = folder.rglob(f"{name}.png")
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if name in ("fixation", "other"):
        return grey > 128
    picture = grey / 255
    if size is None or picture.shape == size:
        return picture
    rows = torch.from_numpy(picture)[None, None]
    return F.interpolate(rows, size, mode="bicubic", align_corners=False, antialias=True)[0, 0].numpy()


def main() -> int:
    """Print a line per case."""
    folder = Path(sys.argv[1])
    failures = 0
    for case in json.loads((folder / "expected.json").read_text())["cases"]:
        if case["metric"] not in METRICS or case["places"] is None:
            continue
        second = read(folder, case["args"][1], None)
        maps = [read(folder, name, second.shape) for name in case["args"]]
        value = METRICS[case["metric"]](*maps)
        wrong = abs(value - case["value"]) > 1.5 * 10 ** -case["places"]
        failures += wrong
        print(
            f"{case['metric']:14} {' '.join(case['args']):28} {value:.8f} recorded {case['value']:.8f} "
            f"({case['places']} places){' DIFFERS' if wrong else ''}"
        )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
