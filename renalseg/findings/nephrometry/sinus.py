"""The renal sinus and the polar lines, from the outline of a kidney alone.

In each plane across the long axis, what the tissue leaves free of its convex hull is a cavity. The
sinus is made of the cavities that lie deep and toward the midline, and of what lies between them in
a plane: vessels and collecting system are often labeled as kidney, so only the fat is free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from renalseg.components import (
    Mask,
    bounding_box,
    components,
    grow_box,
    may_be_corners,
    solid,
)
from renalseg.findings.nephrometry.frame import STEP, Frame
from renalseg.geometry import Array

_DEEP = 3.0  # mm below the hull: shallower dents are no sinus
_SPECK = 30.0  # mm3: smaller cavities are no part of a sinus
_JOIN = 5.0  # mm that each part is grown by: what touches then is one sinus
_LEAST = 300.0  # mm3 of all its parts
_RIM = 1.5  # mm from the hull: here a cavity is open
_SHORT = 8.0  # mm between the polar lines: less is no sinus
_APART = 1e4  # mm between planes: the depth is one within a plane
_ON_EDGE = 1e-9  # of unit normals and voxels
_AHEAD = 3.0  # mm from the middle to where the sinus opens: less shows no direction


@dataclass(frozen=True)
class Sinus:
    """The sinus of a kidney on the grid of its frame.

    Attributes:
        mask: (M, A, U).
        mouth: (M, A, U), where it opens at the rim; empty where the labels cover it.
        filled: (M, A, U), the kidney with all that its outline encloses in each plane across.
        lines: Lower and upper polar line, in mm along the long axis: the ends of the part of the
            sinus that opens at the rim, or of all of it where the labels cover its opening.
        center: (3,) mm, the middle of the filled kidney halfway between the lines.
        toward: Unit vector (2,) in the plane across, from the middle to where the sinus opens.
    """

    mask: Mask
    mouth: Mask
    filled: Mask
    lines: tuple[float, float]
    center: Array
    toward: Array

    @property
    def middle(self) -> float:
        """Height halfway between the polar lines, in mm."""
        return sum(self.lines) / 2


def find_sinus(frame: Frame, kidney: int) -> Sinus | None:
    """Find the sinus of a kidney; None where there is none.

    Args:
        frame: The kidney and its lesions.
        kidney: Its number.
    """
    filled = fill_planes(solid(frame.numbers == kidney, (STEP, STEP, STEP)))
    depth = ndimage.distance_transform_edt(filled, sampling=(STEP, STEP, _APART))
    cavity = filled & (frame.numbers == 0)
    deep = grown(cavity & (depth > _DEEP), _DEEP) & cavity
    parts = _medial(deep, filled)
    if parts is None:
        return None
    found = fill_planes(parts) & filled & np.isin(frame.numbers, (0, kidney))
    mouth = found & (depth <= _RIM)
    lines = _ends(mouth)
    if lines[1] - lines[0] < _SHORT:  # the labels cover the opening
        mouth, lines = np.zeros_like(mouth), _ends(found)
    if lines[1] - lines[0] < _SHORT:
        return None
    level = round(sum(lines) / 2 / STEP)
    middle = np.argwhere(filled[:, :, level]).mean(axis=0)
    center = np.array([*middle, level]) * STEP
    return Sinus(found, mouth, filled, lines, center, _toward(found, mouth, filled))


def fill_planes(mask: Mask) -> Mask:
    """Give the convex hull of a mask (X, Y, Z) in each plane across the last axis."""
    filled = mask.copy()
    x, y = np.indices(mask.shape[:2])
    places = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    ends = may_be_corners(mask, (0, 1))
    for level in np.flatnonzero(mask.any(axis=(0, 1))):
        try:
            hull = ConvexHull(np.argwhere(ends[:, :, level]))
        except QhullError:  # a single row has no hull
            continue
        outside = (hull.equations @ places).max(axis=0)
        filled[:, :, level] |= (outside <= _ON_EDGE).reshape(x.shape)
    return filled


def grown(mask: Mask, radius: float) -> Mask:
    """Give the voxels at most `radius` mm from those of a mask (X, Y, Z).

    The same as a dilation by a ball, in the time of one distance transform.
    """
    result, found = np.zeros_like(mask), bounding_box(mask)
    if found is not None:
        box = grow_box(found, np.full(3, radius / STEP), mask.shape)
        result[box] = ndimage.distance_transform_edt(~mask[box], sampling=STEP) <= radius
    return result


def _ends(mask: Mask) -> tuple[float, float]:
    """The lower and the upper end of a mask along the long axis, in mm; equal if it is empty."""
    levels = np.flatnonzero(mask.any(axis=(0, 1)))
    if not len(levels):
        return 0.0, 0.0
    return float(levels[0] - 0.5) * STEP, float(levels[-1] + 0.5) * STEP


def _medial(mask: Mask, filled: Mask) -> Mask | None:
    """The largest group of cavities that does not lie on the lateral side of the kidney."""
    numbered, sizes = components(mask)
    mask = np.isin(numbered, 1 + np.flatnonzero(sizes * STEP**3 >= _SPECK))
    groups, _ = components(grown(mask, _JOIN))
    groups = np.where(mask, groups, 0)
    volumes = np.bincount(groups.ravel()) * STEP**3
    for number in 1 + np.argsort(-volumes[1:]):
        if volumes[number] < _LEAST:
            return None
        part = groups == number
        if _offset(part, filled)[0] > 0:
            return np.asarray(part)
    return None


def _offset(part: Mask, filled: Mask) -> Array:
    """Vector (2,) in mm across the long axis, from the middle of the kidney to that of a part."""
    levels = part.any(axis=(0, 1))
    middle = np.argwhere(filled & levels).mean(axis=0)
    return np.asarray((np.argwhere(part).mean(axis=0) - middle)[:2] * STEP)


def _toward(found: Mask, mouth: Mask, filled: Mask) -> Array:
    """Unit vector (2,) toward the opening of the sinus; toward the midline if that is not clear."""
    offset = _offset(mouth if mouth.any() else found, filled)
    length = float(np.linalg.norm(offset))
    return np.asarray(offset / length) if length > _AHEAD else np.array([1.0, 0.0])
