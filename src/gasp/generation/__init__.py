"""Stage 1 of whole datasets: the cue maps and targets of every frame, in the folder layout of 2021."""

from gasp.generation.options import GenerateOptions
from gasp.generation.run import GenerateSummary, generate

__all__ = ["GenerateOptions", "GenerateSummary", "generate"]
