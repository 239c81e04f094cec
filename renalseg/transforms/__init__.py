"""MONAI dictionary transforms for steps of the methods that MONAI lacks."""

from renalseg.transforms.body import CropToBodyd
from renalseg.transforms.channel import TakeChanneld
from renalseg.transforms.crop import CropToKidneysd
from renalseg.transforms.fill_outside import FillOutsided
from renalseg.transforms.keep_largest import KeepLargestComponentsd
from renalseg.transforms.localizer_errors import RandGrowMaskd, RandImperfectMaskd
from renalseg.transforms.masks import LesionsInMaskd, NestLabelsd, TumorInKidneyd
from renalseg.transforms.merge import EachKidney, MergeKidneysd
from renalseg.transforms.outline import BetweenOutlinesd
from renalseg.transforms.pair import JoinKidneysd, SplitKidneysd
from renalseg.transforms.removal import (
    DropFatd,
    DropFluidTumorsd,
    DropSmallTumorsd,
    KeepConfirmedTumorsd,
)
from renalseg.transforms.restore import RestoreGridd
from renalseg.transforms.slices import LevelSlicesd, ToSliceStackd
from renalseg.transforms.spacing import LimitSpacingd, ToShaped, ToSliceSized, ToSpacingd
from renalseg.transforms.sure_lesions import KeepSureLesionsd
from renalseg.transforms.unenhanced import RandUnenhancedd

__all__ = [
    "BetweenOutlinesd",
    "CropToBodyd",
    "CropToKidneysd",
    "DropFatd",
    "DropFluidTumorsd",
    "DropSmallTumorsd",
    "EachKidney",
    "FillOutsided",
    "JoinKidneysd",
    "KeepConfirmedTumorsd",
    "KeepLargestComponentsd",
    "KeepSureLesionsd",
    "LesionsInMaskd",
    "LevelSlicesd",
    "LimitSpacingd",
    "MergeKidneysd",
    "NestLabelsd",
    "RandGrowMaskd",
    "RandImperfectMaskd",
    "RandUnenhancedd",
    "RestoreGridd",
    "SplitKidneysd",
    "TakeChanneld",
    "ToShaped",
    "ToSliceSized",
    "ToSliceStackd",
    "ToSpacingd",
    "TumorInKidneyd",
]
