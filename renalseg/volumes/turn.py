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

from renalseg.errors import ConfigError
from renalseg.geometry import Array

AXIAL = "LPS"  # columns to L, rows to P, slices to S
_SIDES = ("LR", "PA", "IS")
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Turn:
    """The axes of a stored volume.

    Attributes:
        affine: (4, 4) of the stored volume, from voxel centers to RAS mm.
        shape: Of the stored volume.
        axes: Where the axes of the turned volume point.
    """

    affine: Array
    shape: tuple[int, ...]
    axes: str = AXIAL

    @property
    def turned_affine(self) -> Array:
        """The affine (4, 4) of the turned volume."""
        back = nib.orientations.inv_ornt_aff(self._forth, self.shape)
        return np.asarray(self.affine @ back, np.float64)

    @property
    def turned_shape(self) -> tuple[int, int, int]:
        """The shape (X, Y, Z) of the turned volume."""
        x, y, z = (self.shape[int(axis)] for axis in np.argsort(self._forth[:, 0]))
        return (x, y, z)

    def forth(self, volume: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
        """Turns a stored volume (X, Y, Z); gives a view."""
        return np.asarray(nib.orientations.apply_orientation(volume, self._forth))

    def back(self, volume: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
        """Turns a volume (X, Y, Z) to the axes of the stored one; gives a view."""
        transform = nib.orientations.ornt_transform(self._wanted, self._own)
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
        return np.asarray(nib.orientations.ornt_transform(self._own, self._wanted))

    @property
    def _wanted(self) -> Array:
        return np.asarray(nib.orientations.axcodes2ornt(self.axes))


def check_axes(axes: object) -> str:
    """Returns where axes point, such as "LPS", one letter an axis as nibabel names them.

    Raises:
        ConfigError: It is something else.
    """
    given = axes if isinstance(axes, str) else ""
    if len(given) == 3 and all(sum(letter in pair for letter in given) == 1 for pair in _SIDES):
        return given
    raise ConfigError(f"Expected axes such as LPS, RAS or IPL, got {axes!r}")
