"""MONAI dictionary transforms for steps of the methods that MONAI lacks."""

from renalseg.transforms.body import CropToBodyd
from renalseg.transforms.channel import TakeChanneld
from renalseg.transforms.confirmed_tumors import KeepConfirmedTumorsd
from renalseg.transforms.crop import CropToKidneysd
from renalseg.transforms.fat import DropFatd
from renalseg.transforms.fill_outside import FillOutsided
from renalseg.transforms.fluid_tumors import DropFluidTumorsd
from renalseg.transforms.grow_mask import RandGrowMaskd
from renalseg.transforms.imperfect_mask import RandImperfectMaskd
from renalseg.transforms.keep_largest import KeepLargestComponentsd
from renalseg.transforms.lesions_in_mask import LesionsInMaskd
from renalseg.transforms.level_slices import LevelSlicesd
from renalseg.transforms.merge import EachKidney, MergeKidneysd
from renalseg.transforms.nest import NestLabelsd
from renalseg.transforms.pair import JoinKidneysd, SplitKidneysd
from renalseg.transforms.restore import RestoreGridd
from renalseg.transforms.shape import ToShaped
from renalseg.transforms.slice_stack import ToSliceStackd
from renalseg.transforms.small_tumors import DropSmallTumorsd
from renalseg.transforms.spacing import LimitSpacingd, ToSliceSized, ToSpacingd
from renalseg.transforms.tumor_in_kidney import TumorInKidneyd

__all__ = [
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
    "LesionsInMaskd",
    "LevelSlicesd",
    "LimitSpacingd",
    "MergeKidneysd",
    "NestLabelsd",
    "RandGrowMaskd",
    "RandImperfectMaskd",
    "RestoreGridd",
    "SplitKidneysd",
    "TakeChanneld",
    "ToShaped",
    "ToSliceSized",
    "ToSliceStackd",
    "ToSpacingd",
    "TumorInKidneyd",
]
