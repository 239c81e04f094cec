"""Measures of kidneys, tumors and cysts, taken on the grid of the image.

A diameter is the largest distance between the centers of two voxels. For a round body this is the
true one within a fraction of a voxel, because a voxel is labeled where its center is inside; from
edge to edge of the voxels it would be too long by up to a slice: of 60 ellipsoids in random poses
with slices of 5 mm, 0.4 mm too short on average against 2.6 mm too long. The price: a straight row
of n voxels is n - 1 voxels long, and a single voxel has the diameter 0. Only corners of the convex
hull can be farthest apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from monai.data import MetaTensor
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import cdist, pdist

from renalseg.components import Mask, bounding_box, may_be_corners, solid, within
from renalseg.findings.bounds import reaches_end, with_kidneys
from renalseg.geometry import Array, spacing_of, to_index, to_world
from renalseg.labels import KIDNEY, TUMOR, MeasuredSegment, Segment, Side, Third, size_category

_PARALLEL = 1e-9  # of unit normals and voxels: what counts as none


class Diameter(NamedTuple):
    """The longest diameter of a body within one slice.

    Attributes:
        length_mm: Between the centers of the two voxels.
        level: Index of the slice.
        ends: Indices (2, 2) of the two voxels along the other two axes, in their order.
    """

    length_mm: float
    level: int
    ends: Array


class _Kidney(NamedTuple):
    """Geometry of a kidney that locates its tumors and cysts: RAS mm.

    Attributes:
        hull: Corners (N, 3) of the convex hull of the kidney's tissue without shells.
        axis: Unit vector (3,) along the kidney, upward.
    """

    hull: Array
    axis: Array


def measure(
    image: MetaTensor, segmented: npt.NDArray[np.uint8], segments: Sequence[Segment]
) -> list[MeasuredSegment]:
    """Measures each segment.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm with orthogonal axes.
        segmented: Segment numbers (X, Y, Z) on its grid.
        segments: The segments, numbered 1, 2, ...; each is in the map.

    Returns:
        The segments in their order, with diameters in mm, HU, and for tumors and cysts their place
        in the kidney of their side: the third of the kidney's long axis (the principal axis of its
        tissue) that their centroid lies in or beyond, and the share of their voxels whose centers
        lie outside of the convex hull of the kidney's tissue, both without shells (`solid`);
        neither where the kidney is cut by the end of the scan or of the field of view. Tumors also
        get a size category.
    """
    found = bounding_box(segmented)
    if found is None:
        return []
    affine = np.asarray(image.affine, dtype=np.float64)
    boxes = ndimage.find_objects(segmented[found], max_label=len(segments))
    places = [within(part, found) for part in boxes]
    sides = {segment.side for segment in segments if segment.kind != KIDNEY}
    ends = [
        reaches_end(image, segmented[box] == segment.number, box)
        for segment, box in zip(segments, places, strict=True)
    ]
    measured, kidneys = [], dict[Side, _Kidney]()
    for segment, box, cut in zip(segments, places, with_kidneys(segments, ends), strict=True):
        mask = segmented[box] == segment.number
        start = to_world(affine, [side.start for side in box])
        local = np.block([[affine[:3, :3], start[:, None]], [np.zeros(3), 1]])
        hu = image[0][box].numpy()[mask].astype(np.float64)
        hull = _hull(to_world(local, _ends(mask, range(3))))
        if segment.kind == KIDNEY and segment.side in sides and not _flat(hull) and not cut:
            kidneys[segment.side] = _kidney(mask, local, hull)
        one = MeasuredSegment(
            segment.number,
            segment.label,
            segment.kind,
            segment.side,
            volume_ml=round(segment.volume_ml, 3),
            longest_mm=round(_farthest(hull), 2),
            longest_axial_mm=round(_longest_axial(mask, local), 2),
            mean_hu=round(float(hu.mean()), 1),
            sd_hu=round(float(hu.std()), 1),
            lower_bound=cut,
            tracking=segment.tracking,
        )
        if segment.kind == TUMOR:
            one = replace(one, size=size_category(one.longest_mm, lower_bound=cut))
        if segment.kind != KIDNEY and segment.side in kidneys:
            one = _place(one, kidneys[segment.side], mask, local)
        measured.append(one)
    return measured


def _kidney(mask: Mask, affine: Array, hull: Array) -> _Kidney:
    """The geometry of a kidney whose tissue has a hull that is not flat."""
    tissue = _hull(to_world(affine, _ends(solid(mask, spacing_of(affine)), range(3))))
    return _Kidney(hull if _flat(tissue) else tissue, _long_axis(mask, affine))


def _flat(hull: Array) -> bool:
    return bool(np.linalg.matrix_rank(hull - hull[0]) < 3)


def _place(lesion: MeasuredSegment, kidney: _Kidney, mask: Mask, affine: Array) -> MeasuredSegment:
    """Adds the position of a tumor or cyst in its kidney."""
    centers = to_world(affine, np.argwhere(mask))
    heights = kidney.hull @ kidney.axis
    height = float(centers.mean(axis=0) @ kidney.axis)
    share = (height - heights.min()) / (heights.max() - heights.min())
    third = Third.LOWER if share < 1 / 3 else Third.UPPER if share > 2 / 3 else Third.MIDDLE
    within = _within_hull(mask, to_index(affine, kidney.hull))
    percent = round(100 * (1 - within / len(centers)), 1)
    return replace(lesion, third=third, exophytic_percent=percent)


def _ends(mask: Mask, axes: Sequence[int]) -> Array:
    """Indices (N, 3) of the voxels that may be corners of a convex hull."""
    return np.argwhere(may_be_corners(mask, axes)).astype(np.float64)


def _hull(points: Array) -> Array:
    """The corners of the convex hull of points (N, 2 or 3), or all points if they are flat."""
    try:
        return np.asarray(points[ConvexHull(points).vertices], dtype=np.float64)
    except QhullError:
        return points


def _within_hull(mask: Mask, corners: Array) -> int:
    """Counts the voxels of a mask whose centers lie within a convex hull.

    Each line of voxels along Z meets the hull in one interval: where it has passed all facets that
    face down, and none of those that face up.

    Args:
        mask: (X, Y, Z).
        corners: Indices (N, 3) of the corners of the hull.
    """
    normals, offsets = np.split(ConvexHull(corners).equations, [3], axis=1)
    steep = normals[:, 2]
    up, down = steep > _PARALLEL, steep < -_PARALLEL
    heights = np.arange(mask.shape[2])
    within = 0
    for x in np.flatnonzero(mask.any(axis=(1, 2))):
        lines = np.column_stack([np.full(mask.shape[1], x), np.arange(mask.shape[1])])
        beyond = normals[:, :2] @ lines.T + offsets  # (facets, Y), at Z = 0
        low = (-beyond[down] / steep[down, None]).max(axis=0)
        high = (-beyond[up] / steep[up, None]).min(axis=0)
        beside = (beyond[~up & ~down] > _PARALLEL).any(axis=0)
        hit = (heights >= low[:, None] - _PARALLEL) & (heights <= high[:, None] + _PARALLEL)
        within += int((mask[x] & hit & ~beside[:, None]).sum())
    return within


def longest_diameter(mask: Mask, affine: npt.ArrayLike) -> float:
    """Returns the longest diameter of a body in mm: the `longest_mm` of results.

    Args:
        mask: (X, Y, Z), not empty.
        affine: (4, 4) from voxel centers to RAS mm.
    """
    matrix = np.asarray(affine, dtype=np.float64)
    return _farthest(_hull(to_world(matrix, _ends(mask, range(3)))))


def diameter_ends(mask: Mask, affine: npt.ArrayLike) -> Array:
    """Returns the two voxel centers (2, 3) in RAS mm that lie farthest apart.

    Args:
        mask: (X, Y, Z), not empty.
        affine: (4, 4) from voxel centers to RAS mm.
    """
    points = _hull(to_world(np.asarray(affine, dtype=np.float64), _ends(mask, range(3))))
    apart = cdist(points, points)
    return points[list(np.unravel_index(int(apart.argmax()), apart.shape))]


def _farthest(points: Array) -> float:
    """Returns the largest distance between two points; 0 for a single one."""
    return float(pdist(points).max(initial=0.0))


def longest_in_slice(mask: Mask, spacing: Array, along: int) -> Diameter:
    """Finds the longest diameter of a body within the slices across an axis.

    Args:
        mask: (X, Y, Z), not empty.
        spacing: mm (3,) along its axes.
        along: The axis that the slices follow.
    """
    across = [axis for axis in range(3) if axis != along]
    points = _ends(mask, across)
    points = points[np.argsort(points[:, along], kind="stable")]
    cuts = np.flatnonzero(np.diff(points[:, along])) + 1
    slices = np.split(points, cuts)
    # a slice is not longer than its box is: most need no hull once a long one is known
    bounds = [float(np.linalg.norm(np.ptp(part, axis=0) * spacing)) for part in slices]
    longest = Diameter(0.0, int(points[0, along]), points[[0, 0]][:, across])
    for index in np.argsort(bounds)[::-1]:
        if bounds[index] <= longest.length_mm:
            break
        corners = _hull(slices[index][:, across] * spacing[across])
        first, second = _farthest_pair(corners)
        length = float(np.linalg.norm(corners[first] - corners[second]))
        if length > longest.length_mm:
            ends = corners[[first, second]] / spacing[across]
            longest = Diameter(length, int(slices[index][0, along]), ends)
    return longest


def _longest_axial(mask: Mask, affine: Array) -> float:
    """Returns the longest diameter in mm within a slice across the array axis nearest to S."""
    along = int(np.argmax(np.abs(affine[2, :3])))
    return longest_in_slice(mask, spacing_of(affine), along).length_mm


def _farthest_pair(points: Array) -> tuple[int, int]:
    """The indices of the two points that lie farthest apart."""
    if len(points) < 2:
        return 0, 0
    first, second = np.triu_indices(len(points), 1)
    pair = int(pdist(points).argmax())
    return int(first[pair]), int(second[pair])


def _long_axis(mask: Mask, affine: Array) -> Array:
    """The principal axis (3,) of the voxels, turned upward."""
    centers = to_world(affine, np.argwhere(mask))
    offset = centers - centers.mean(axis=0)
    axis = np.linalg.eigh(offset.T @ offset)[1][:, -1]
    return np.asarray(axis if axis[2] >= 0 else -axis, dtype=np.float64)
