"""A volume as a file or a library stores it: where its voxels lie, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from renalseg.errors import InputError
from renalseg.geometry import Array, spacing_of
from renalseg.volumes.size_limits import MAX_SIDE, check_volume

Values = npt.NDArray[np.float32]

SPACING_MM = (0.01, 20.0)  # no CT has finer or coarser voxels
_RIGHT_ANGLE = 1e-3  # of unit vectors
_SCANNER_MATRIX = 512  # voxels a side of a slice as scanners give it
_HINT = "convert the series again, with dcm2niix or SimpleITK, or give the DICOM files"


@dataclass(frozen=True, eq=False)
class Stored:
    """A volume that was opened, but not yet read.

    Attributes:
        where: What messages call it, such as the path of its file.
        shape: Sizes of its axes, in the order of the array; one axis or more.
        affine: (4, 4) float64 from voxel centers to RAS mm.
        values: Reads the voxels, (X, Y, Z) float32, rescaled as the file says.
        dtype: Of the voxels as they are stored.
        is_scaled: Whether the file rescales them.
    """

    where: str
    shape: tuple[int, ...]
    affine: Array
    values: Callable[[], Values]
    dtype: np.dtype[np.generic]
    is_scaled: bool = False

    def check(self) -> None:
        """Refuses what cannot be a CT, by its size, its type and where it lies.

        Raises:
            InputError: The message says what was expected and what was found.
        """
        if len(self.shape) != 3:
            raise InputError(
                f"expected a volume with 3 axes, found {len(self.shape)}, "
                f"{_sizes(self.shape)}, in {self.where}: give one volume a file"
            )
        if not all(2 <= side <= MAX_SIDE for side in self.shape):
            raise InputError(
                f"expected a volume with 2 to {MAX_SIDE} voxels along each axis, found "
                f"{_sizes(self.shape)} in {self.where}"
            )
        if self.dtype.kind not in "iuf":
            raise InputError(
                f"expected one number a voxel, found the type {self.dtype.name} in {self.where}: "
                "colors and vectors are no CT"
            )
        if self.dtype.itemsize == 1 and not self.is_scaled:
            raise InputError(
                f"expected Hounsfield units, found 8 bits a voxel ({self.dtype.name}) in "
                f"{self.where}: it is a label map or a picture, or was cut to a display window"
            )
        check_affine(self.affine, self.shape, self.where)
        check_volume(self.shape)


def check_affine(affine: Array, shape: Sequence[int], where: str) -> None:
    """Refuses an affine that does not say where the voxels of a CT lie.

    Args:
        affine: (4, 4) from voxel centers to RAS mm.
        shape: (X, Y, Z).
        where: What messages call the volume.

    Raises:
        InputError: It is not finite, sheared, of another unit than mm, or was made up.
    """
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise InputError(f"expected an affine of 4 x 4 finite numbers, found none in {where}")
    spacing = spacing_of(affine)
    low, high = SPACING_MM
    if spacing.min() < low or spacing.max() > high:
        raise InputError(
            f"expected voxels of {low:g} to {high:g} mm, found {_mm(spacing)} in {where}"
        )
    steps = affine[:3, :3] / spacing
    if np.abs(steps.T @ steps - np.eye(3)).max() > _RIGHT_ANGLE:
        raise InputError(
            f"expected axes at right angles, found a sheared affine in {where}: resample the "
            "volume to a grid with right angles, or give the DICOM files"
        )
    if (spacing == 1).all():
        made_up = (np.abs(steps) == np.eye(3)).all() and not affine[:3, 3].any()
        if made_up:
            raise InputError(
                "expected an affine from the scanner, found the identity (voxels of 1 x 1 x 1 mm "
                f"from the origin), as converters write that have lost it, in {where}: {_HINT}"
            )
        if sum(side >= _SCANNER_MATRIX for side in shape) >= 2:
            raise InputError(
                "expected the spacing of the scan, found exactly 1 x 1 x 1 mm for "
                f"{_sizes(shape)} voxels, as converters write that have lost it, in {where}: "
                f"{_HINT}"
            )


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _mm(spacing: Array) -> str:
    return " x ".join(f"{value:g}" for value in spacing) + " mm"
