"""Put the slices of a series in order and prove that they form one regular grid.

Positions and orientations alone decide; SliceThickness and SpacingBetweenSlices are often wrong and
never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from renalseg.dicom.tags import Instance, describe
from renalseg.errors import InputError
from renalseg.geometry import Array, affine_from_dicom, slice_normal

MIN_SLICES = 2
SAME_PLACE_MM = 0.01
GAP_FACTOR = 1.5  # a step this many times the usual one means a missing slice
MAX_JITTER = 0.01  # of the usual step
SILENT_JITTER = 0.001  # rounding of the positions in the file
MAX_TILT_DEGREES = 0.1
SAME_ORIENTATION = 1e-3  # difference of direction cosines
SAME_SPACING = 1e-3  # relative


class Grid(NamedTuple):
    """Slices in order along their normal.

    Attributes:
        instances: The slices, index 0 first.
        affine: (4, 4) voxel-to-world affine in RAS mm.
        shape: Number of voxels (X, Y, Z).
        warnings: What is unusual but processed.
    """

    instances: tuple[Instance, ...]
    affine: Array
    shape: tuple[int, int, int]
    warnings: tuple[str, ...]


def arrange(instances: Sequence[Instance]) -> Grid:
    """Order slices along the normal of their plane.

    Args:
        instances: Slices of one series, in any order.

    Returns:
        The slices in order, with the geometry of their volume.

    Raises:
        InputError: If a geometry tag is missing, slices differ in size, orientation or frame of
            reference, or their positions hold a gap, a duplicate, a tilt or uneven steps.
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

    warnings = _check_steps(ordered, positions @ normal)
    _check_line(positions, normal, pixel_spacing)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    affine = affine_from_dicom(orientation, positions[0], pixel_spacing, step)
    columns, rows = (int(ordered[0].numbers(keyword, 1)[0]) for keyword in ("Columns", "Rows"))
    return Grid(ordered, affine, (columns, rows, len(ordered)), tuple(warnings))


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
    if spacing.min() <= 0:
        raise InputError(
            f"{first.path}: {describe('PixelSpacing')} should be positive, found {spacing.tolist()}"
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


def _check_steps(ordered: Sequence[Instance], heights: npt.NDArray[np.float64]) -> list[str]:
    """Check the distances between slices, given their heights (Z,) along the normal in mm."""
    steps = np.diff(heights)
    closest = int(steps.argmin())
    if steps[closest] < SAME_PLACE_MM:
        raise InputError(
            f"expected one slice per position, found two at z={heights[closest]:.2f} mm: "
            f"{ordered[closest].path} and {ordered[closest + 1].path} "
            "(several phases or acquisitions in one series?)"
        )
    usual = float(np.median(steps))
    widest = int(steps.argmax())
    if steps[widest] > GAP_FACTOR * usual:
        raise InputError(
            f"missing slices: gap of {steps[widest]:.2f} mm at z={heights[widest]:.2f} mm, "
            f"expected {usual:.2f} mm between {ordered[widest].path} and {ordered[widest + 1].path}"
        )
    jitter = np.abs(steps - usual) / usual
    worst = int(jitter.argmax())
    found = f"{steps[worst]:.3f} mm at z={heights[worst]:.2f} mm where {usual:.3f} mm is usual"
    if jitter[worst] > MAX_JITTER:
        raise InputError(f"expected evenly spaced slices (within {MAX_JITTER:.0%}), found {found}")
    return [f"slices are not quite evenly spaced: {found}"] if jitter[worst] > SILENT_JITTER else []


def _check_line(positions: npt.NDArray[np.float64], normal: Array, pixel_spacing: Array) -> None:
    """Check that the first voxels (Z, 3) of the slices lie on a straight line along the normal."""
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    along = float(step @ normal)
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(step - along * normal), along)))
    if tilt > MAX_TILT_DEGREES:
        raise InputError(
            f"gantry tilt: each slice is shifted against the last, {tilt:.1f} degrees "
            "off the slice normal; sheared series are not supported yet"
        )
    offsets = positions - positions[0] - np.outer(np.arange(len(positions)), step)
    sideways = np.linalg.norm(offsets - np.outer(offsets @ normal, normal), axis=1)
    if sideways.max() > pixel_spacing.min() / 2:
        raise InputError(
            "expected slices above one another, "
            f"found one shifted sideways by {sideways.max():.2f} mm"
        )
