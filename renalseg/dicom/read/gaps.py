"""Gaps in a series, and whether a kidney may lie in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from renalseg.dicom.read.slice_grid import OrderedSlices
from renalseg.dicom.read.slice_spacing import find_gaps
from renalseg.errors import InputError
from renalseg.geometry import Array, slice_normal, spacing_of

MARGIN_MM = 10.0  # a gap nearer to a kidney than this may cut off a part of it or of a tumor


class Gap(NamedTuple):
    """A gap in a series.

    Attributes:
        below: Index along Z of the grid of the last slice before it.
        above: Index of the first slice behind it.
        height: Where it begins along the slice normal, in mm.
        width: Distance between the two slices in mm.
    """

    below: int
    above: int
    height: float
    width: float

    def __str__(self) -> str:
        """Its name in messages."""
        return f"gap of {self.width:.2f} mm at z={self.height:.2f} mm"


def find_missing(grid: OrderedSlices) -> tuple[Gap, ...]:
    """Find the gaps of a series, the lowest first."""
    normal = slice_normal(grid.instances[0].numbers("ImageOrientationPatient", 6))
    positions = [instance.numbers("ImagePositionPatient", 3) for instance in grid.instances]
    heights = np.stack(positions) @ normal
    steps = np.diff(heights)
    levels = grid.planes.levels
    return tuple(
        Gap(int(levels[index]), int(levels[index + 1]), float(heights[index]), float(steps[index]))
        for index in find_gaps(steps)
    )


def refuse_gaps_at(kidney: npt.NDArray[np.uint8], gaps: Sequence[Gap], affine: Array) -> None:
    """Refuse a series in which slices are missing at the kidneys.

    Args:
        kidney: (X, Y, Z) on the grid, not 0 in a kidney.
        gaps: Of the series.
        affine: (4, 4) of the grid.

    Raises:
        InputError: If a gap is within `MARGIN_MM` of the kidneys along Z, or no kidney was found,
            so that they may lie in it.
    """
    if not gaps:
        return
    levels = np.flatnonzero(kidney.any(axis=(0, 1)))
    if not len(levels):
        raise InputError(f"missing slices: {gaps[0]}, where the kidneys may be: none was found")
    margin = MARGIN_MM / float(spacing_of(affine)[2])
    low, high = levels[0] - margin, levels[-1] + margin
    for gap in gaps:
        if gap.above >= low and gap.below <= high:
            raise InputError(
                f"missing slices: {gap} is within {MARGIN_MM:g} mm of the kidneys; "
                "only gaps elsewhere may be allowed"
            )
