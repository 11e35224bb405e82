"""Eye-tracking datasets: recorded fixations, the maps made from them, and readers."""

from gasp.datasets.findwho import FindWhoSet
from gasp.datasets.fixations import DensityMap, FixationMap, Fixations, density_map, fixation_map
from gasp.datasets.image_set import ImageSet
from gasp.datasets.split import held_back

__all__ = [
    "DensityMap",
    "FindWhoSet",
    "FixationMap",
    "Fixations",
    "ImageSet",
    "density_map",
    "fixation_map",
    "held_back",
]
