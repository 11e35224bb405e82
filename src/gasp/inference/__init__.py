"""Runs the inference presets of 2021: generators, metrics of stored frames, and videos of them."""

from gasp.inference.run import InferenceSummary, run_inference

__all__ = ["InferenceSummary", "run_inference"]
