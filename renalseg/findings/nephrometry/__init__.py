"""Nephrometry of solid tumors from the label map alone: R.E.N.A.L., PADUA and C-index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from renalseg.components import voxels_of
from renalseg.findings.nephrometry.frame import Frame, lay_out
from renalseg.findings.nephrometry.measures import Place, locate
from renalseg.findings.nephrometry.points import Outline, score
from renalseg.findings.nephrometry.sinus import Sinus, find_sinus
from renalseg.geometry import Array, to_world
from renalseg.labels import KIDNEY, TUMOR, MeasuredSegment, Side
from renalseg.scores import Nephrometry

NO_KIDNEY = "No kidney was found on its side"
CUT = "The kidney is cut by the scan"
GAP = "The tumor touches a gap in the scan"
NO_AXIS = "The kidney has no clear long axis"
NO_SINUS = "No renal sinus was found"

Levels = Sequence[tuple[int, int]]
"""First and last index along Z of slices that were missing and filled, or next to a gap."""


@dataclass(frozen=True)
class Anatomy:
    """A kidney in its own frame, with its sinus."""

    frame: Frame
    sinus: Sinus


def anatomy(
    segmented: npt.NDArray[np.uint8], affine: Array, segments: Sequence[MeasuredSegment], side: Side
) -> Anatomy | str:
    """Find frame and sinus of a kidney.

    Args:
        segmented: Segment numbers (X, Y, Z).
        affine: (4, 4) to RAS mm.
        segments: All segments.
        side: Of the kidney.

    Returns:
        Both, or why there is none.
    """
    parts = [segment for segment in segments if segment.side == side]
    kidney = next((part for part in parts if part.kind == KIDNEY), None)
    if kidney is None:
        return NO_KIDNEY
    if kidney.lower_bound:
        return CUT
    numbers = [part.number for part in parts]
    frame = lay_out(segmented, affine, kidney.number, numbers, side)
    if frame is None:
        return NO_AXIS
    sinus = find_sinus(frame, kidney.number)
    return NO_SINUS if sinus is None else Anatomy(frame, sinus)


def place_of(
    anatomy: Anatomy, segmented: npt.NDArray[np.uint8], affine: Array, number: int
) -> Place:
    """Measure where a tumor lies in its kidney.

    Args:
        anatomy: Of the kidney.
        segmented: Segment numbers (X, Y, Z).
        affine: (4, 4) to RAS mm.
        number: Of the tumor.
    """
    voxels = to_world(affine, voxels_of(segmented == number))
    return locate(anatomy.frame, anatomy.sinus, voxels)


def add_nephrometry(
    segmented: npt.NDArray[np.uint8],
    affine: Array,
    segments: Sequence[MeasuredSegment],
    gaps: Levels = (),
) -> list[MeasuredSegment]:
    """Give the segments with the nephrometry of each tumor; kidneys and cysts have none.

    Args:
        segmented: Segment numbers (X, Y, Z).
        affine: (4, 4) to RAS mm.
        segments: The segments, measured.
        gaps: Where slices were missing.
    """
    sides = {segment.side for segment in segments if segment.kind == TUMOR}
    kidneys = {side: anatomy(segmented, affine, segments, side) for side in sides}
    return [
        segment
        if segment.kind != TUMOR
        else replace(segment, nephrometry=_assess(segmented, affine, segment, kidneys, gaps))
        for segment in segments
    ]


def _assess(
    segmented: npt.NDArray[np.uint8],
    affine: Array,
    tumor: MeasuredSegment,
    kidneys: dict[Side, Anatomy | str],
    gaps: Levels,
) -> Nephrometry:
    kidney = kidneys[tumor.side]
    if tumor.exophytic_percent is None:  # without a kidney that is whole, size and share are open
        return Nephrometry(reason=kidney if isinstance(kidney, str) else NO_AXIS)
    outline = Outline(tumor.longest_mm, tumor.exophytic_percent)
    levels = np.flatnonzero((segmented == tumor.number).any(axis=(0, 1)))
    if any(levels[0] <= last and first <= levels[-1] for first, last in gaps):
        return Nephrometry(reason=GAP)
    if isinstance(kidney, str):
        return score(outline, None, kidney)
    return score(outline, place_of(kidney, segmented, affine, tumor.number), None)
