"""How good the default pipeline's predictions are, beside baselines, and what each cue contributes.

    python benchmarks/quality.py --data DIR [--sets osie eyecrowd scene findwho] [--ablation] [--json FILE]

``DIR`` holds the sets ``osie``, ``eyecrowd``, ``scene`` (held-back pictures are used) and ``findwho``. Prints one
table per set: mean of pictures (videos for ``findwho``) with 95 % bootstrap intervals. Fixations of pictures are all
of the set's; of videos those at the middle of every half second, on the container's clock. Everything is done by
``gasp.evaluation``, at the full size of the pictures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gasp.config.settings import PredictSettings
from gasp.evaluation.evaluate import evaluate
from gasp.evaluation.items import ItemSet, open_items
from gasp.evaluation.results import Evaluation
from gasp.evaluation.score_tables import plain
from gasp.evaluation.scoring import METRICS
from gasp.evaluation.settings import EvaluationSettings
from gasp.evaluation.systems import PipelineSystem
from gasp.pipeline.pipeline import Networks


def table(evaluation: Evaluation) -> None:
    print(f"\n{evaluation.dataset}\n{'':24s}" + "".join(f"{metric.title:>22s}" for metric in METRICS))
    for place, name in enumerate(evaluation.names):
        cells = [evaluation.overall(place, m) for m in range(len(METRICS))]
        print(f"{name:24s}" + "".join(f"{c.mean:9.3f} [{c.low:.2f},{c.high:.2f}]" for c in cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["osie", "eyecrowd", "scene", "findwho"])
    parser.add_argument("--ablation", action="store_true", help="also without each cue, and with other sound")
    parser.add_argument("--limit", type=int, help="at most so many pictures or videos per set")
    parser.add_argument("--no-ceiling", action="store_true", help="without other observers, which is quicker")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    networks = Networks.load(PredictSettings())
    ablated = networks.fusion.modalities if options.ablation else ()
    pipeline = PipelineSystem(PredictSettings(), networks, ablated, sound=options.ablation)
    settings = EvaluationSettings(rate=2, longest=None, ceiling=not options.no_ceiling, examples=False)
    summary = {}
    for name in options.sets:
        items = open_items(options.data / name)
        items = ItemSet(items.name, items.items[: options.limit], items.skipped)
        evaluation = evaluate(items, pipeline=pipeline, settings=settings)
        table(evaluation)
        for sentence in evaluation.problems.sentences():
            print(f"  {sentence}")
        summary[name] = plain(evaluation)
    if options.json:
        options.json.write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
