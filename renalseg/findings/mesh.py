"""From the voxels of a segment to a closed, smooth surface of the same volume."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform, distance_transform_edt, gaussian_filter

from renalseg.components import bounding_box
from renalseg.geometry import Array, lps_to_ras, spacing_of, to_world, voxel_volume_mm3

_SMOOTH_MM = 1.0  # standard deviation; hides the steps of voxels, keeps what is larger
_BEYOND_MM = 4 * _SMOOTH_MM  # room around the segment, so that the surface closes
_STEPS = 4000  # voxels of the grid that the surface is computed on, for each segment at least
_STEP_MM = (0.1, 1.0)  # but no finer and no coarser than this
_PRECISION = 1e-3  # of the surface, in these voxels


class Mesh(NamedTuple):
    """A surface of triangles.

    Attributes:
        vertices: (N, 3) in LPS mm.
        faces: (M, 3) indices of vertices, counterclockwise as seen from outside.
    """

    vertices: Array
    faces: npt.NDArray[np.int64]


def surface_of(mask: npt.NDArray[np.bool_], affine: Array) -> Mesh:
    """Lays a surface around the voxels of a segment.

    The distance to the border of the mask is interpolated between slices (Raya and Udupa 1990),
    smoothed, and cut at the level that holds as many cubic millimeters as the voxels: smoothing
    alone would shrink what is small. It is watertight, also where the scan cuts the segment. A
    fragment of less than about a millimeter beside a larger part may be lost.

    Args:
        mask: (X, Y, Z); not empty.
        affine: (4, 4) from voxel centers to RAS mm, with axes at right angles.

    Raises:
        ValueError: The mask is empty.
    """
    from skimage.measure import marching_cubes

    box = bounding_box(mask)
    if box is None:
        raise ValueError("expected voxels to lay a surface around, found none")
    spacing = spacing_of(affine)
    margin = np.ceil(_BEYOND_MM / spacing).astype(int) + 1
    part = np.pad(mask[box], [(int(n), int(n)) for n in margin])
    volume = np.count_nonzero(part) * voxel_volume_mm3(affine)
    step = float(np.clip((volume / _STEPS) ** (1 / 3), *_STEP_MM))
    distance = _distance(part, spacing, step)
    level = _level(distance / step, volume / step**3) * step
    vertices, faces, _, _ = marching_cubes(distance, level, allow_degenerate=False)
    index = vertices * step / spacing - margin + [side.start for side in box]
    if np.linalg.det(affine[:3, :3]) > 0:  # they are clockwise on the grid, unless reflected
        faces = faces[:, ::-1]
    return Mesh(to_world(lps_to_ras(affine), index), faces.astype(np.int64))


def _distance(mask: npt.NDArray[np.bool_], spacing: Array, step: float) -> npt.NDArray[np.float32]:
    """Smooth distance from the border in mm, positive inside, on a grid of cubes of this size."""
    inside = distance_transform_edt(mask, sampling=spacing)
    outside = distance_transform_edt(~mask, sampling=spacing)
    shape = tuple(int((n - 1) * mm / step) + 1 for n, mm in zip(mask.shape, spacing, strict=True))
    distance = affine_transform(
        (inside - outside).astype(np.float32), step / spacing, output_shape=shape, order=1
    )
    return np.asarray(gaussian_filter(distance, _SMOOTH_MM / step))


def _level(distance: npt.NDArray[np.float32], count: float) -> float:
    """The level that so many voxels lie above; those that it cuts count by their share.

    Args:
        distance: (X, Y, Z) in voxels.
        count: A number of voxels, less than there are.
    """
    from scipy.optimize import brentq

    def excess(level: float) -> float:
        return float(np.clip(distance - level + 0.5, 0, 1).sum(dtype=np.float64)) - count

    low, high = float(distance.min()) - 1, float(distance.max()) + 1
    return float(brentq(excess, low, high, xtol=_PRECISION))
