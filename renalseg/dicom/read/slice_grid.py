"""Order the slices of a series and find the regular grid for computing.

Only positions and orientations count; SliceThickness and SpacingBetweenSlices are often wrong and
never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from renalseg.dicom.read.planes import SourcePlanes
from renalseg.dicom.read.slice_spacing import (
    MAX_JITTER,
    SAME_PLACE_MM,
    SILENT_JITTER,
    find_gaps,
    grid_step,
    jitter_of,
    usual_step,
)
from renalseg.dicom.tags import Instance, describe
from renalseg.errors import InputError
from renalseg.geometry import Array, affine_from_dicom, as_meant, slice_normal

MIN_SLICES = 2
MIN_TILT_DEGREES = 0.1  # less is rounding of the positions in the file
MAX_TILT_DEGREES = 45.0  # gantries tilt by 30 degrees at most
SAME_ORIENTATION = 1e-3  # difference of direction cosines
SAME_SPACING = 1e-3  # relative
PIXEL_MM = (0.01, 20.0)  # no CT has finer or coarser pixels


class OrderedSlices(NamedTuple):
    """Slices in order along their normal, and the regular grid that they are computed on.

    Attributes:
        instances: The slices, index 0 first.
        affine: (4, 4) voxel-to-world affine of the grid in RAS mm.
        shape: Number of voxels (X, Y, Z) of the grid.
        planes: Where the slices lie in it.
        warnings: What is unusual but processed.
    """

    instances: tuple[Instance, ...]
    affine: Array
    shape: tuple[int, int, int]
    planes: SourcePlanes
    warnings: tuple[str, ...]


def arrange(instances: Sequence[Instance], *, allow_gaps: bool = False) -> OrderedSlices:
    """Order slices along the normal of their plane, and lay a grid over them.

    The grid of a regular series is the series itself. That of a series with a tilted gantry has
    slices at the same places that are wide enough for the whole shear; that of an unevenly spaced
    one has slices at the usual distance, or at that of the nearest ones.

    Args:
        instances: Slices of one series, in any order.
        allow_gaps: Lay the grid over places where slices are missing, too; `find_missing` in
            `renalseg.dicom.read.gaps` says where.

    Returns:
        The slices in order, with the geometry of their volume.

    Raises:
        InputError: If a geometry tag is missing, slices differ in size, orientation or frame of
            reference, or their positions hold a gap or a duplicate or do not lie in a row.
    """
    if len(instances) < MIN_SLICES:
        found = f"{len(instances)} ({instances[0].path})"
        raise InputError(f"expected at least {MIN_SLICES} CT slices, found {found}")
    orientation, pixel_spacing = _common_plane(instances)
    normal = slice_normal(orientation)
    positions = np.stack([instance.numbers("ImagePositionPatient", 3) for instance in instances])
    order = np.argsort(positions @ normal, kind="stable")
    ordered = tuple(instances[index] for index in order)
    positions = positions[order]

    even, step_warnings = _check_steps(ordered, positions @ normal, allow_gaps)
    tilted, tilt_warnings = _check_line(positions, normal, pixel_spacing)
    columns, rows = (int(ordered[0].numbers(keyword, 1)[0]) for keyword in ("Columns", "Rows"))
    if even and not tilted:
        planes = SourcePlanes.regular((columns, rows, len(ordered)))
        step = (positions[-1] - positions[0]) / (len(ordered) - 1)
        affine = affine_from_dicom(orientation, positions[0], pixel_spacing, step)
    else:
        size = (columns, rows)
        affine, planes = _lay_over(positions, orientation, pixel_spacing, size, even)
    return OrderedSlices(
        ordered, as_meant(affine), planes.shape, planes, (*step_warnings, *tilt_warnings)
    )


def _lay_over(
    positions: Array, orientation: Array, pixel_spacing: Array, size: tuple[int, int], even: bool
) -> tuple[Array, SourcePlanes]:
    """Lay a grid over slices with these first voxels (S, 3) in LPS; give its affine and theirs."""
    normal = slice_normal(orientation)
    offsets = positions - positions[0]
    heights = offsets @ normal
    step = heights[-1] / (len(heights) - 1) if even else grid_step(heights)
    levels = np.arange(len(heights)) if even else np.rint(heights / step).astype(np.int64)
    # along a row, along a column
    axes = orientation.reshape(2, 3) * pixel_spacing[::-1, None]
    corners = np.rint(offsets @ np.linalg.pinv(axes)).astype(np.int64)
    first = corners.min(axis=0)
    corners -= first
    width, height = (corners.max(axis=0) + size).tolist()
    affine = affine_from_dicom(
        orientation, positions[0] + first @ axes, pixel_spacing, step * normal
    )
    return affine, SourcePlanes((width, height, int(levels[-1]) + 1), size, corners, levels)


def _common_plane(instances: Sequence[Instance]) -> tuple[Array, Array]:
    """Give the orientation (6,) and pixel spacing (2,) that all slices share."""
    first = instances[0]
    orientation = first.numbers("ImageOrientationPatient", 6)
    spacing = first.numbers("PixelSpacing", 2)
    row, column = orientation.reshape(2, 3)
    gram = np.array([row @ row - 1, column @ column - 1, row @ column])
    if np.abs(gram).max() > SAME_ORIENTATION:
        raise InputError(
            f"{first.path}: {describe('ImageOrientationPatient')} should be two unit vectors "
            f"at a right angle, found {orientation.tolist()}"
        )
    low, high = PIXEL_MM
    if spacing.min() < low or spacing.max() > high:
        raise InputError(
            f"{first.path}: {describe('PixelSpacing')} should be {low:g} to {high:g} mm, "
            f"found {spacing.tolist()}"
        )
    frame = first.header.get("FrameOfReferenceUID")
    for other in instances[1:]:
        turn = other.numbers("ImageOrientationPatient", 6) - orientation
        if np.abs(turn).max() > SAME_ORIENTATION:
            raise _mixed(first, other, "ImageOrientationPatient")
        if np.abs(other.numbers("PixelSpacing", 2) / spacing - 1).max() > SAME_SPACING:
            raise _mixed(first, other, "PixelSpacing")
        if other.header.get("FrameOfReferenceUID") != frame:
            raise _mixed(first, other, "FrameOfReferenceUID")
        for keyword in ("Rows", "Columns"):
            if other.numbers(keyword, 1) != first.numbers(keyword, 1):
                raise _mixed(first, other, keyword)
    return orientation, spacing


def _mixed(first: Instance, other: Instance, keyword: str) -> InputError:
    return InputError(
        f"expected one {describe(keyword)} in the series, found {first.header.get(keyword)} "
        f"in {first.path} and {other.header.get(keyword)} in {other.path}"
    )


def _check_steps(
    ordered: Sequence[Instance], heights: Array, allow_gaps: bool
) -> tuple[bool, list[str]]:
    """Say whether slices at these heights (S,) along the normal, in mm, are evenly spaced."""
    steps = np.diff(heights)
    closest = int(steps.argmin())
    if steps[closest] < SAME_PLACE_MM:
        raise InputError(
            f"expected one slice per position, found two at z={heights[closest]:.2f} mm: "
            f"{ordered[closest].path} and {ordered[closest + 1].path} "
            "(several phases or acquisitions in one series?)"
        )
    usual = float(np.median(steps))
    gaps = find_gaps(steps)
    if gaps and not allow_gaps:
        widest = max(gaps, key=steps.__getitem__)
        raise InputError(
            f"missing slices: gap of {steps[widest]:.2f} mm at z={heights[widest]:.2f} mm, "
            f"expected {usual_step(steps, widest):.2f} mm "
            f"between {ordered[widest].path} and {ordered[widest + 1].path}"
        )
    worst, jitter = jitter_of(steps)
    found = f"{steps[worst]:.3f} mm at z={heights[worst]:.2f} mm where {usual:.3f} mm is usual"
    if jitter > MAX_JITTER:
        return False, [
            f"slices are unevenly spaced ({found}): they were resampled by position for the "
            "networks, the result lies on the source slices"
        ]
    return True, [f"slices are not quite evenly spaced: {found}"] if jitter > SILENT_JITTER else []


def _check_line(positions: Array, normal: Array, pixel_spacing: Array) -> tuple[bool, list[str]]:
    """Say whether the first voxels (S, 3) of the slices lie off the slice normal, on a line."""
    offsets = positions - positions[0]
    above = offsets @ normal
    shear = (offsets[-1] - above[-1] * normal) / above[-1]  # mm sideways for each mm upward
    tilt = float(np.degrees(np.arctan(np.linalg.norm(shear))))
    sideways = np.linalg.norm(offsets - np.outer(above, normal + shear), axis=1)
    if sideways.max() > pixel_spacing.min() / 2:
        raise InputError(
            "expected slices above one another, or each shifted like the last against the one "
            f"below it, found one shifted sideways by {sideways.max():.2f} mm"
        )
    if tilt > MAX_TILT_DEGREES:
        raise InputError(
            f"expected slices that lie within {MAX_TILT_DEGREES:g} degrees of their normal, "
            f"found each shifted against the last by {tilt:.1f} degrees: no gantry tilts that far"
        )
    if tilt <= MIN_TILT_DEGREES:
        return False, []
    return True, [
        f"gantry tilt of {tilt:.1f} degrees: the slices were shifted to a grid at right angles "
        "for the networks, the result lies on the source slices"
    ]
