"""Evaluation of predictions against recorded fixations: scores, baselines, intervals, diagnostics, tables."""
