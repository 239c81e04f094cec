"""The same patient on many grids: scenes are drawn from world coordinates, never from indices.

The world is RAS in mm. A test that passes for every entry of `GRIDS` cannot have mixed up, reversed
or skipped an axis, as long as its scene is one-sided.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from pydicom.dataset import Dataset

from renalseg.dicom.read.planes import SourcePlanes
from renalseg.dicom.read.series import CTSeries
from renalseg.geometry import Array, to_world
from renalseg.grids import Grid

EXTENT = (144.0, 108.0, 120.0)  # mm along R, A, S
_DIRECTIONS = {
    **{"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0)},
    **{"P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)},
}


def make_grid(
    codes: str,
    spacing: Sequence[float] = (4.0, 4.5, 6.0),
    center: Sequence[float] = (7.0, -11.0, 130.0),
    turn: float = 0.0,
    extent: Sequence[float] = EXTENT,
) -> Grid:
    """A grid over the box of `extent` mm around `center`.

    Args:
        codes: The direction in which each array axis grows, such as "LPS".
        spacing: mm along R, A, S, whichever array axis that is.
        center: World coordinates of the middle, mm.
        turn: Angle about the axis I-S, in radians.
        extent: mm along R, A, S.
    """
    steps = np.array([_DIRECTIONS[code] for code in codes], dtype=np.float64).T
    world_axis = np.abs(steps).argmax(axis=0)
    x, y, z = (round(extent[axis] / spacing[axis]) for axis in world_axis)
    cos, sin = np.cos(turn), np.sin(turn)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ (
        steps * np.asarray(spacing)[world_axis]
    )
    affine[:3, 3] = center - affine[:3, :3] @ ((np.array([x, y, z]) - 1) / 2)
    return Grid((x, y, z), affine)


GRIDS = {
    "as_drawn": make_grid("RAS"),
    "axial": make_grid("LPS"),
    "reversed": make_grid("LPI"),
    "coronal": make_grid("LIP"),
    "sagittal": make_grid("PIR"),
    "decubitus": make_grid("PRS"),
    "oblique": make_grid("LPS", turn=0.3),
}


def world_of(grid: Grid) -> Array:
    """World coordinates (X, Y, Z, 3) of the voxel centers, mm."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    return to_world(grid.affine, index)


def ellipsoid(grid: Grid, center: Sequence[float], radii: Sequence[float]) -> npt.NDArray[np.bool_]:
    """The voxels (X, Y, Z) within an ellipsoid along the world axes, mm."""
    distance = (world_of(grid) - np.asarray(center)) / np.asarray(radii)
    return np.asarray((distance**2).sum(axis=-1) < 1)


def volume(values: npt.NDArray[np.generic], grid: Grid) -> MetaTensor:
    """A MetaTensor of values (X, Y, Z), or (C, X, Y, Z), on a grid."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    tensor = tensor if tensor.ndim == 4 else tensor[None]
    return MetaTensor(tensor, affine=torch.from_numpy(grid.affine))


def centroid(mask: npt.NDArray[np.bool_], grid: Grid) -> Array:
    """World coordinates (3,) of the middle of a mask (X, Y, Z), mm."""
    return to_world(grid.affine, np.argwhere(mask).mean(axis=0))


def series_on(grid: Grid, image: MetaTensor | None = None) -> CTSeries:
    """A series on a grid, of zeros where no image is given, whose slices are numbered from 1."""
    headers = [Dataset() for _ in range(grid.shape[2])]
    for number, header in enumerate(headers, start=1):
        header.InstanceNumber = number
    if image is None:
        image = volume(np.zeros(grid.shape, np.float32), grid)
    return CTSeries(image, tuple(headers), "", (), {}, SourcePlanes.regular(grid.shape))
