"""A known CT as a volume, with its axes in any order and direction, in any format."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813

from renalseg.geometry import Array, lps_to_ras
from tests.factories.series import Case, phantom

TURNS = [
    np.column_stack([order, signs])
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]
"""All ways in which the axes of an array may run, as nibabel has them."""


def drawn(case: Case | None = None) -> tuple[npt.NDArray[np.int16], Array]:
    """HU (X, Y, Z) of a case as `write_case` writes it, and its affine in RAS mm."""
    affine = (case or Case()).affine
    return phantom(affine), affine


def turned(
    hu: npt.NDArray[np.int16], affine: Array, turn: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int16], Array]:
    """The same voxels with other axes, and their affine."""
    moved = nib.orientations.apply_orientation(hu, turn)
    return moved, affine @ nib.orientations.inv_ornt_aff(turn, hu.shape)


def save(path: Path, hu: npt.NDArray[np.generic], affine: Array) -> Path:
    """Save a volume as the programs of its format do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith((".nii", ".nii.gz")):
        nib.save(nib.Nifti1Image(hu, affine), path)
    else:
        sitk.WriteImage(image_of(hu, affine), str(path), True)
    return path


def image_of(hu: npt.NDArray[np.generic], affine: Array) -> sitk.Image:
    """The image of SimpleITK."""
    lps = lps_to_ras(affine)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(hu.T))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return image


def canonical(values: npt.NDArray[np.generic], affine: Array) -> tuple[npt.NDArray, Array]:  # type: ignore[type-arg]
    """The voxels with axes near R, A, S, and their affine, to compare what lies differently."""
    image = nib.as_closest_canonical(nib.Nifti1Image(np.asarray(values), affine))
    return np.asarray(image.dataobj), image.affine
