"""From the axes of a stored volume to those of an axial series in DICOM, and back.

Programs store one series with different axes and directions. Networks compute the same for the same
array alone, so each volume is turned to columns toward L, rows toward P and slices toward S, as
the slices of an axial series lie in memory; what is found is turned back. Voxels are moved, none is
interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import nibabel as nib
import numpy as np
import numpy.typing as npt

from renalseg.geometry import Array

_AXIAL = np.array([[0, -1], [1, -1], [2, 1]])  # L, P, S, as nibabel has it from R, A, S
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Turn:
    """The axes of a stored volume.

    Attributes:
        affine: (4, 4) of the stored volume, from voxel centers to RAS mm.
        shape: Of the stored volume.
    """

    affine: Array
    shape: tuple[int, ...]

    @property
    def turned_affine(self) -> Array:
        """The affine (4, 4) of the turned volume."""
        back = nib.orientations.inv_ornt_aff(self._forth, self.shape)
        return np.asarray(self.affine @ back, np.float64)

    @property
    def turned_shape(self) -> tuple[int, ...]:
        """The shape (X, Y, Z) of the turned volume."""
        return tuple(self.shape[int(axis)] for axis in np.argsort(self._own[:, 0]))

    def forth(self, volume: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
        """Turns a stored volume (X, Y, Z); gives a view."""
        return np.asarray(nib.orientations.apply_orientation(volume, self._forth))

    def back(self, volume: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
        """Turns a volume (X, Y, Z) to the axes of the stored one; gives a view."""
        transform = nib.orientations.ornt_transform(_AXIAL, self._own)
        return np.asarray(nib.orientations.apply_orientation(volume, transform))

    def stored_slices(self) -> range:
        """The index of each turned slice, from inferior to superior, along its stored axis."""
        axis = int(np.flatnonzero(self._own[:, 0] == 2)[0])
        size = self.shape[axis]
        return range(size) if self._own[axis, 1] > 0 else range(size - 1, -1, -1)

    @property
    def _own(self) -> Array:
        return np.asarray(nib.orientations.io_orientation(self.affine))

    @property
    def _forth(self) -> Array:
        return np.asarray(nib.orientations.ornt_transform(self._own, _AXIAL))
