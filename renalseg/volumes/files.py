"""Which files are volumes, what their cases are called, and how they are opened and written."""

from __future__ import annotations

from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from renalseg.geometry import Array
from renalseg.volumes import nifti
from renalseg.volumes.stored import Stored

FORMATS = {"nifti": ".nii.gz", "nrrd": ".nrrd", "mha": ".mha"}
"""The formats that are written, and their suffixes."""
SUFFIXES = (*nifti.SUFFIXES, ".nrrd", ".mha")
"""Of the files that are read; the longest that fits counts."""
KITS_IMAGE = "imaging"  # of a case's folder, in the layout of the KiTS repositories
KITS_LABEL = "segmentation"


def suffix_of(path: PurePath) -> str:
    """Gives the suffix by which a file is a volume, as it is written there; "" for any other."""
    lower = path.name.lower()
    suffix = next((each for each in SUFFIXES if lower.endswith(each)), "")
    return path.name[len(path.name) - len(suffix) :] if suffix else ""


def is_volume(path: PurePath) -> bool:
    """Says whether a file is a volume by its name; hidden ones are none."""
    return bool(suffix_of(path)) and not path.name.startswith(".")


def stem_of(path: PurePath) -> str:
    """Gives the name of a volume's file without its suffix."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def open_volume(path: Path) -> Stored:
    """Opens a volume; reads its header alone.

    Raises:
        InputError: It cannot be read.
    """
    if suffix_of(path).lower() in nifti.SUFFIXES:
        return nifti.open_nifti(path)
    from renalseg.volumes.itk import open_itk  # SimpleITK takes a quarter of a second to import

    return open_itk(path)


def save_map(values: npt.NDArray[np.uint8], affine: Array, path: Path) -> None:
    """Writes a map (X, Y, Z) on a grid in RAS mm, in the format of the file's suffix.

    Raises:
        OSError: It cannot be written.
    """
    if suffix_of(path).lower() in nifti.SUFFIXES:
        nifti.save_nifti(values, affine, path)
    else:
        from renalseg.volumes.itk import save_itk

        save_itk(values, affine, path)
