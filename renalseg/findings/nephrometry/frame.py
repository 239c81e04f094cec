"""A kidney on a grid of its own: toward the midline, to the front, and upward along its long axis.

The grid is turned with the kidney and mirrored with its side, so a turned or mirrored patient
gives the same measures.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from renalseg.components import Mask, bounding_box, within
from renalseg.geometry import Array, to_index, to_world
from renalseg.labels import Side

STEP = 1.0  # mm
_MARGIN = 3.0  # mm
_LONGER = 1.15  # than wide, in standard deviations: less leaves the long axis open
_UPRIGHT = 0.5  # cosine of the largest angle between the long axis and the body's


@dataclass(frozen=True)
class Frame:
    """A grid along the axes of a kidney.

    Attributes:
        numbers: Segment numbers (M, A, U) of the kidney and its lesions; 0 elsewhere.
        affine: (4, 4) from its indices to RAS mm. The axes are orthogonal and `STEP` mm long: they
            grow toward the midline of the body, to the front, and along the kidney upward.
    """

    numbers: npt.NDArray[np.uint8]
    affine: Array

    def place(self, world: npt.ArrayLike) -> Array:
        """Give the places (..., 3) of RAS points in mm along the axes, from the first voxel."""
        return to_index(self.affine, np.asarray(world, dtype=np.float64)) * STEP


def long_axis(mask: Mask, affine: Array) -> Array | None:
    """Find the principal axis (3,) of a kidney, upward; None where it is not clear.

    Args:
        mask: (X, Y, Z) of its tissue.
        affine: (4, 4) to RAS mm.
    """
    centers = to_world(affine, np.argwhere(mask))
    offset = centers - centers.mean(axis=0)
    lengths, axes = np.linalg.eigh(offset.T @ offset)
    axis = np.asarray(axes[:, -1] * (1 if axes[2, -1] >= 0 else -1), dtype=np.float64)
    clear = lengths[-1] > _LONGER**2 * lengths[-2] and axis[2] >= _UPRIGHT
    return axis if clear else None


def lay_out(
    segmented: npt.NDArray[np.uint8], affine: Array, kidney: int, parts: Collection[int], side: Side
) -> Frame | None:
    """Move a kidney and its lesions to the kidney's own axes; None where these are not clear.

    Args:
        segmented: Segment numbers (X, Y, Z).
        affine: (4, 4) to RAS mm.
        kidney: Number of the kidney.
        parts: Numbers of the kidney and of its tumors and cysts.
        side: On which it lies.
    """
    near = bounding_box(segmented)  # of all sides: quickly found
    if near is None:
        return None
    own = np.where(np.isin(segmented[near], list(parts)), segmented[near], 0).astype(np.uint8)
    found = bounding_box(own)
    if found is None:
        return None
    own = own[found]
    start = to_world(affine, [part.start for part in within(found, near)])
    local = np.block([[affine[:3, :3], start[:, None]], [np.zeros(3), 1]])
    up = long_axis(own == kidney, local)
    if up is None:
        return None
    medial = np.array([1.0 if side == Side.LEFT else -1.0, 0, 0])
    medial -= (medial @ up) * up
    medial /= np.linalg.norm(medial)
    front = np.cross(up, medial)
    axes = np.column_stack([medial, front if front[1] >= 0 else -front, up])
    along = to_world(local, np.argwhere(own)) @ axes
    low, high = along.min(axis=0) - _MARGIN, along.max(axis=0) + _MARGIN
    grid = np.eye(4)
    grid[:3, :3], grid[:3, 3] = axes * STEP, axes @ low
    shape = tuple(int(size) for size in np.ceil((high - low) / STEP) + 1)
    steps = np.linalg.inv(local) @ grid
    numbers = ndimage.affine_transform(own, steps[:3, :3], steps[:3, 3], shape, order=0)
    return Frame(numbers, grid)
