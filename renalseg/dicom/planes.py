"""Where the slices of a series lie in the grid that is computed on, and the way there and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from renalseg.geometry import Array

ON_GRID = 0.01  # a slice this near to a slice of the grid, in its steps, is taken to lie there


@dataclass(frozen=True, eq=False)
class SourcePlanes:
    """The source slices as seen from a regular, orthogonal grid whose slices are parallel to them.

    In-plane, each source slice lies at whole voxels of the grid, so that every source pixel is one
    voxel, whose value is not interpolated. Along Z, a slice of the grid that lies between source
    slices is interpolated linearly, and a source slice gets its labels from the nearest one.

    Attributes:
        shape: (X, Y, Z) of the grid.
        size: Columns and rows of a source slice.
        corners: (S, 2) voxel (X, Y) of the grid where the first pixel of each source slice lies.
        heights: (S,) where each source slice lies along Z of the grid, in voxels, increasing from
            0; whole where it coincides with a slice of the grid.
    """

    shape: tuple[int, int, int]
    size: tuple[int, int]
    corners: npt.NDArray[np.int64]
    heights: Array

    @classmethod
    def regular(cls, shape: tuple[int, int, int]) -> SourcePlanes:
        """Slices that are the grid (X, Y, Z) themselves."""
        corners = np.zeros((shape[2], 2), dtype=np.int64)
        return cls(shape, shape[:2], corners, np.arange(shape[2], dtype=np.float64))

    @property
    def is_grid(self) -> bool:
        """Whether the source slices are the slices of the grid."""
        return (
            self.shape == (*self.size, len(self.heights))
            and bool((self.heights == np.arange(len(self.heights))).all())
            and not self.corners.any()
        )

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
        planes = np.empty((len(self.heights), rows, columns), dtype=labels.dtype)
        for index, nearest in enumerate(np.rint(self.heights).astype(int)):
            planes[index] = self._part(labels[:, :, nearest].T, index)
        return planes.transpose(2, 1, 0)

    def fill(
        self,
        volume: npt.NDArray[np.float32],
        write: Callable[[int, npt.NDArray[np.float32]], None],
        beyond: float,
    ) -> None:
        """Fill the grid from the source slices, one by one; two at most are held beside it.

        Args:
            volume: (Z, Y, X) on the grid, overwritten.
            write: Called for each source slice in order with its index and the array (rows,
                columns) that it is to fill.
            beyond: Value of voxels that lie in no source slice.
        """
        if not self.is_grid:
            volume.fill(beyond)
        before = np.empty(0, dtype=np.float32)
        for index, height in enumerate(self.heights):
            if height == int(height):
                plane = self._part(volume[int(height)], index)
            else:
                plane = np.empty(self.size[::-1], dtype=np.float32)
            write(index, plane)
            if index:
                self._fill_between(volume, index, before, plane, beyond)
            before = plane
        last = len(self.heights) - 1
        if self.heights[last] < len(volume) - 1:
            self._part(volume[-1], last)[:] = before

    def _fill_between(
        self,
        volume: npt.NDArray[np.float32],
        index: int,
        before: npt.NDArray[np.float32],
        plane: npt.NDArray[np.float32],
        beyond: float,
    ) -> None:
        """Interpolate the slices of the grid between source slices `index` - 1 and `index`."""
        low, high = self.heights[index - 1 : index + 1]
        for z in range(int(low) + 1, int(np.ceil(high))):
            share = np.float32((z - low) / (high - low))
            self._part(volume[z], index - 1)[:] += (1 - share) * (before - beyond)
            self._part(volume[z], index)[:] += share * (plane - beyond)

    def _part(self, plane: npt.NDArray[np.generic], index: int) -> npt.NDArray:  # type: ignore[type-arg]
        """The part of a slice (Y, X) of the grid that source slice `index` covers, as a view."""
        (x, y), (columns, rows) = self.corners[index], self.size
        return plane[y : y + rows, x : x + columns]
