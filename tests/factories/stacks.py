"""Series whose slices lie as a test wants them: in any orientation, sheared, unevenly spaced."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.valuerep import DSfloat
from scipy.ndimage import map_coordinates

from renalseg.dicom.write.ct import write_ct_series
from renalseg.geometry import Array, affine_from_dicom, slice_normal, to_index

AIR_HU = -1000


@dataclass(frozen=True, eq=False)
class Stack:
    """Geometry of parallel slices, in the words and the LPS frame of DICOM.

    Attributes:
        orientation: ImageOrientationPatient (6,).
        pixel_spacing: Between rows, between columns, in mm.
        size: Columns and rows.
        positions: ImagePositionPatient (S, 3) of each slice, in the order of the files.
    """

    orientation: Array
    pixel_spacing: tuple[float, float]
    size: tuple[int, int]
    positions: Array

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, slices."""
        return (*self.size, len(self.positions))

    def world(self, index: int) -> Array:
        """RAS mm (X, Y, 3) of the pixels of a slice, by PS3.3 C.7.6.2.1.1."""
        column, row = np.meshgrid(*(np.arange(n) for n in self.size), indexing="ij")
        along_row, along_column = self.orientation.reshape(2, 3)
        lps = (
            self.positions[index]
            + column[..., None] * self.pixel_spacing[1] * along_row
            + row[..., None] * self.pixel_spacing[0] * along_column
        )
        return np.asarray(lps * [-1, -1, 1], dtype=np.float64)

    def moved(self, by: npt.ArrayLike) -> Stack:
        """The slices elsewhere, by LPS mm (3,)."""
        return replace(self, positions=self.positions + by)

    def shuffled(self, order: npt.ArrayLike) -> Stack:
        """The same slices in another order of files."""
        return replace(self, positions=self.positions[np.asarray(order)])


def stack_of(
    rotation: Array,
    steps: npt.ArrayLike,
    *,
    pixel_spacing: tuple[float, float] = (0.8, 0.8),
    size: tuple[int, int] = (24, 20),
    tilt_degrees: float = 0.0,
    tilt_direction: float = np.pi / 2,
    corner: npt.ArrayLike = (-31.5, 12.25, -140.0),
) -> Stack:
    """Slices as a scanner makes them, whose table moves while its gantry stands tilted.

    Args:
        rotation: (3, 3) whose columns are the directions of a row, of a column, and of the table.
        steps: (S - 1,) table movement from slice to slice in mm, before the tilt.
        pixel_spacing: Between rows, between columns, in mm.
        size: Columns and rows.
        tilt_degrees: Angle between the slice normal and the table movement.
        tilt_direction: Where the table then moves within the slices, in radians from the row.
        corner: First pixel of the first slice, LPS mm.
    """
    row, column, normal = rotation.T
    sideways = np.cos(tilt_direction) * row + np.sin(tilt_direction) * column
    tilt = np.deg2rad(tilt_degrees)
    table = np.cos(tilt) * normal + np.sin(tilt) * sideways
    heights = np.concatenate([[0.0], np.cumsum(steps)])
    positions = np.asarray(corner, dtype=np.float64) + heights[:, None] * table
    orientation = np.concatenate([row, column])
    return Stack(orientation, pixel_spacing, size, positions)


def write_stack(
    folder: Path, stack: Stack, hu: npt.NDArray[np.int16], *, seed: int | str = 0
) -> list[Path]:
    """Write slices (X, Y, S) as a CT series, file i with slice i."""
    normal = slice_normal(stack.orientation)
    step = np.median(np.diff(np.sort(stack.positions @ normal))) * normal
    affine = affine_from_dicom(stack.orientation, stack.positions[0], stack.pixel_spacing, step)
    paths = write_ct_series(folder, hu, affine, seed=seed)
    for path, position in zip(paths, stack.positions, strict=True):
        dataset = pydicom.dcmread(path)
        dataset.ImagePositionPatient = [DSfloat(v, auto_format=True) for v in position.round(9)]
        dataset.save_as(path)
    return paths


def resliced(
    stack: Stack, volume: npt.NDArray[np.generic], affine: Array, *, order: int
) -> npt.NDArray[np.generic]:
    """What slices would show of a volume (X, Y, Z) with a voxel-to-RAS affine; its border repeats.

    Args:
        stack: The slices.
        volume: HU or labels.
        affine: (4, 4) of `volume`.
        order: 1 for HU, 0 for labels.
    """
    planes = np.empty((stack.shape[2], *stack.size), dtype=volume.dtype)
    for index in range(len(planes)):
        at = np.moveaxis(to_index(affine, stack.world(index)), -1, 0)
        planes[index] = map_coordinates(volume, at, order=order, mode="nearest")
    return planes.transpose(1, 2, 0)
