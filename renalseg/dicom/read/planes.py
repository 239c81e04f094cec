"""Positions of source slices on the computing grid, and the mapping in both directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class SourcePlanes:
    """The source slices as seen from a regular, orthogonal grid whose slices are parallel to them.

    Each source slice lies at whole voxels of the grid. So every source pixel is a voxel of the
    grid, its value is not interpolated, and its label comes back to it and to no other. (Two slices
    that nearly coincide may share a slice of the grid, which then shows the upper one.)

    Attributes:
        shape: (X, Y, Z) of the grid.
        size: Columns and rows of a source slice.
        corners: (S, 2) voxel (X, Y) of the grid where the first pixel of each source slice lies.
        levels: (S,) index along Z of the grid where each source slice lies, ascending from 0 to
            Z - 1. Slices of the grid between two of them are interpolated.
    """

    shape: tuple[int, int, int]
    size: tuple[int, int]
    corners: npt.NDArray[np.int64]
    levels: npt.NDArray[np.int64]

    @classmethod
    def regular(cls, shape: tuple[int, int, int]) -> SourcePlanes:
        """Slices that are the grid (X, Y, Z) themselves."""
        corners = np.zeros((shape[2], 2), dtype=np.int64)
        return cls(shape, shape[:2], corners, np.arange(shape[2]))

    @property
    def is_grid(self) -> bool:
        """Whether the source slices are the slices of the grid."""
        slices = len(self.levels)
        return self.shape == (*self.size, slices) and np.array_equal(self.levels, range(slices))

    def to_slices(self, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Bring a label map from the grid to the source slices.

        Args:
            labels: (X, Y, Z) on the grid.

        Returns:
            (columns, rows, S), one plane for each source slice; `labels` itself where the slices
            are the grid.

        Raises:
            ValueError: If `labels` has another shape than the grid.
        """
        if labels.shape != self.shape:
            raise ValueError(f"expected labels of shape {self.shape}, got {labels.shape}")
        if self.is_grid:
            return labels
        columns, rows = self.size
        # in memory slice by slice, as it is written
        planes = np.empty((len(self.levels), rows, columns), dtype=labels.dtype)
        for index, plane in enumerate(planes):
            plane[:] = self._part(labels[:, :, self.levels[index]].T, index)
        return planes.transpose(2, 1, 0)

    def to_grid(self, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Bring a label map from the source slices to the grid.

        Args:
            labels: (columns, rows, S).

        Returns:
            (X, Y, Z) on the grid. A slice of the grid between source slices is as the nearest of
            them; what lies in no source slice is 0.

        Raises:
            ValueError: If `labels` has another shape than the source slices.
        """
        if labels.shape != (*self.size, len(self.levels)):
            expected = (*self.size, len(self.levels))
            raise ValueError(f"expected labels of shape {expected}, got {labels.shape}")
        if self.is_grid:
            return labels
        volume = np.zeros(self.shape[::-1], dtype=labels.dtype)
        for z, plane in enumerate(volume):
            index = int(np.abs(self.levels - z).argmin())
            self._part(plane, index)[:] = labels[:, :, index].T
        return volume.transpose()

    def fill(
        self,
        volume: npt.NDArray[np.float32],
        write: Callable[[int, npt.NDArray[np.float32]], None],
        beyond: float,
    ) -> None:
        """Fill the grid from the source slices, one by one, without a copy of them.

        Args:
            volume: (Z, Y, X) on the grid, overwritten.
            write: Called for each source slice in order with its index and the array (rows,
                columns) that it is to fill.
            beyond: Value of voxels that lie in no source slice.
        """
        if not self.is_grid:
            volume.fill(beyond)
        for index, level in enumerate(self.levels):
            write(index, self._part(volume[level], index))
            if index:
                _fill_between(volume, self.levels[index - 1], level)

    def _part(self, plane: npt.NDArray, index: int) -> npt.NDArray:  # type: ignore[type-arg]
        """The part of a slice (Y, X) of the grid that source slice `index` covers, as a view."""
        (x, y), (columns, rows) = self.corners[index], self.size
        return plane[y : y + rows, x : x + columns]


def _fill_between(volume: npt.NDArray[np.float32], low: int, high: int) -> None:
    """Interpolate the slices between two slices of a volume (Z, Y, X)."""
    for z in range(low + 1, high):
        share = np.float32((z - low) / (high - low))
        np.multiply(volume[high] - volume[low], share, out=volume[z])
        volume[z] += volume[low]
