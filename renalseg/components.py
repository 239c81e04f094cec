"""Boxes and connected components of masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]
_SHELL = 2.0  # mm: tissue that holds no ball of this radius is a shell
_PIECE = 0.25  # of the largest piece: smaller ones are remnants of shells
_POINTS = 5_000  # enough to tell how far apart two kidneys are


def bounding_box(mask: npt.NDArray[Any]) -> Box | None:
    """The smallest box around the voxels (X, Y, Z) that are not 0, or None if there are none.

    Give it labels as they are: a mask of a whole CT costs more than the box.
    """
    shadow: Mask = np.asarray(mask.any(axis=2))  # the only pass over the whole volume
    if not shadow.any():
        return None
    x, y = _span(shadow.any(axis=1)), _span(shadow.any(axis=0))
    return (x, y, _span(mask[x, y].any(axis=(0, 1))))


def _span(hits: npt.ArrayLike) -> slice:
    """From the first true value to the last."""
    found = np.flatnonzero(hits)
    return slice(int(found[0]), int(found[-1]) + 1)


def voxels_of(mask: Mask) -> npt.NDArray[np.int64]:
    """The indices (N, 3) of the true voxels (X, Y, Z), in the order of `np.argwhere`."""
    box = bounding_box(mask)
    if box is None:
        return np.empty((0, 3), np.int64)
    return np.asarray(np.argwhere(mask[box]) + [part.start for part in box])


def around(boxes: Sequence[Box]) -> Box:
    """The box around several."""
    x, y, z = (
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*boxes, strict=True)
    )
    return (x, y, z)


def within(part: Box, box: Box) -> Box:
    """What a part of a box is in the volume of that box."""
    x, y, z = (
        slice(outer.start + inner.start, outer.start + inner.stop)
        for inner, outer in zip(part, box, strict=True)
    )
    return (x, y, z)


def grow_box(box: Box, voxels: npt.ArrayLike, shape: tuple[int, ...]) -> Box:
    """A box grown on both sides of each axis, within a volume of the given shape."""
    x, y, z = (
        slice(max(0, part.start - int(n)), min(size, part.stop + int(n)))
        for part, n, size in zip(box, np.ceil(np.asarray(voxels)), shape, strict=True)
    )
    return (x, y, z)


def components(mask: Mask) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Components that share faces, edges or corners, the largest first.

    Args:
        mask: (X, Y, Z).

    Returns:
        The numbered components, 1 the largest, and their sizes in voxels in that order.
    """
    numbered, count = ndimage.label(mask, structure=np.ones((3, 3, 3)), output=np.int32)
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    rank = np.zeros(count + 1, np.int32)
    rank[order + 1] = np.arange(1, count + 1)
    return rank[numbered], sizes[order]


def may_be_corners(mask: Mask, axes: Sequence[int]) -> Mask:
    """The voxels (X, Y, Z) that no two neighbors enclose along any of the axes.

    Whatever lies between two others is no corner of a convex hull.
    """
    padded = np.pad(mask, 1)
    ends = mask.copy()
    for axis in axes:
        before, after = (np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1] for step in (1, -1))
        ends &= ~(before & after)
    return ends


def solid(mask: Mask, spacing: npt.ArrayLike) -> Mask:
    """Leave out shells: kidney labels often cover a tumor that bulges out, a voxel or two thick.

    Args:
        mask: (X, Y, Z).
        spacing: mm (3,) along its axes.

    Returns:
        Its opening by a ball, without pieces that are small beside the largest; the mask itself
        where nothing is left.
    """
    opened = ndimage.binary_opening(mask, _ball(_SHELL, np.asarray(spacing, np.float64)))
    if not opened.any():
        return mask
    numbered, sizes = components(opened)
    return np.asarray((numbered > 0) & (numbered <= (sizes >= _PIECE * sizes[0]).sum()))


def _ball(radius: float, spacing: npt.NDArray[np.float64]) -> Mask:
    """The voxels whose centers are at most `radius` mm from that in the middle."""
    reach = np.ceil(radius / spacing).astype(int)
    places = np.ogrid[tuple(slice(-count, count + 1) for count in reach)]
    squares = ((place * step) ** 2 for place, step in zip(places, spacing, strict=True))
    return np.asarray(np.sqrt(sum(squares)) <= radius)


def part_boxes(numbered: npt.NDArray[np.int32]) -> list[Box]:
    """The boxes of the numbered components (X, Y, Z), that of 1 first."""
    boxes: list[Box] = ndimage.find_objects(numbered)
    return boxes


def gap_mm(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """The shortest distance between two sets of points (N, 3), in mm, within a millimeter or so.

    Of large sets it takes every so many points.
    """
    few = [points[:: 1 + len(points) // _POINTS] for points in map(np.asarray, (first, second))]
    return float(cKDTree(few[0]).query(few[1])[0].min())


def largest_part(mask: Mask) -> Mask | None:
    """The largest component whose pixels or voxels share faces, or None of an empty mask."""
    numbered, count = ndimage.label(mask)
    if not count:
        return None
    sizes = np.bincount(numbered.ravel())[1:]
    return np.asarray(numbered == 1 + sizes.argmax())
