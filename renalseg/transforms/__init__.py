"""The steps of the methods that MONAI lacks, as MONAI dictionary transforms."""

from renalseg.transforms.crop import CropToKidneysd
from renalseg.transforms.keep_largest import KeepLargestComponentsd
from renalseg.transforms.merge import EachKidney, MergeKidneysd
from renalseg.transforms.restore import RestoreGridd
from renalseg.transforms.small_tumors import DropSmallTumorsd
from renalseg.transforms.spacing import ToSpacingd

__all__ = [
    "CropToKidneysd",
    "DropSmallTumorsd",
    "EachKidney",
    "KeepLargestComponentsd",
    "MergeKidneysd",
    "RestoreGridd",
    "ToSpacingd",
]
