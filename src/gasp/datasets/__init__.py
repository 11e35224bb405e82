"""Eye-tracking datasets: recorded fixations, the maps made from them, readers, splits and stores."""

from gasp.datasets.coutrot import CoutrotSet
from gasp.datasets.diem import DiemSet
from gasp.datasets.findwho import FindWhoSet
from gasp.datasets.findwho_mat import FindWhoMatSet
from gasp.datasets.fixations import (
    DensityMap,
    FixationMap,
    Fixations,
    density_map,
    density_of_points,
    fixation_map,
)
from gasp.datasets.gaze_table import GazeTableSet
from gasp.datasets.image_set import ImageSet
from gasp.datasets.sets import open_set
from gasp.datasets.split import Split, held_back, read_split
from gasp.datasets.stavis_maps import StavisMaps
from gasp.datasets.summe_etmd import SumMeEtmdSet
from gasp.datasets.video_set import Video, VideoSet

__all__ = [
    "CoutrotSet",
    "DensityMap",
    "DiemSet",
    "FindWhoMatSet",
    "FindWhoSet",
    "FixationMap",
    "Fixations",
    "GazeTableSet",
    "ImageSet",
    "Split",
    "StavisMaps",
    "SumMeEtmdSet",
    "Video",
    "VideoSet",
    "density_map",
    "density_of_points",
    "fixation_map",
    "held_back",
    "open_set",
    "read_split",
]
