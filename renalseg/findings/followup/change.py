"""What changed in a structure between two times: mm and ml, a year, beside the error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from renalseg.components import Mask, bounding_box
from renalseg.findings.measurements import diameter_ends
from renalseg.geometry import Array, spacing_of, voxel_volume_mm3
from renalseg.labels import MeasuredSegment, Side

YEAR = 365.25  # days
OUTLINE, REPEATS = "outline", "repeats"  # where an error comes from


@dataclass(frozen=True)
class Errors:
    """How far the measures of one structure at one time may be off.

    Attributes:
        mm: Its longest diameter.
        ml: Its volume.
        source: `OUTLINE`, a bound from the size of a voxel, or `REPEATS`, measured.
        found: In how many segmentations of how many it was found, where they were repeated.
    """

    mm: float
    ml: float
    source: str = OUTLINE
    found: tuple[int, int] | None = None


@dataclass(frozen=True)
class Measure:
    """A measure at two times.

    Attributes:
        prior: Earlier.
        now: Later.
        change: `now` minus `prior`.
        percent: The change as a share of `prior`; None where that is 0.
        per_year: The change divided by the years between; None where these are not known.
        error: How far the change may be off.
        within_error: Whether the change is not larger than that.
    """

    prior: float
    now: float
    change: float
    percent: float | None
    per_year: float | None
    error: float
    within_error: bool


@dataclass(frozen=True)
class Change:
    """A structure that both times show.

    Attributes:
        number: Of its segment now.
        label: Its name now.
        kind: `KIDNEY`, `TUMOR` or `CYST` now.
        prior_number: Of its segment earlier.
        prior_label: Its name earlier.
        prior_kind: Its kind earlier.
        side: Of its kidney.
        longest_mm: Longest diameter.
        volume_ml: Volume.
        error_source: Where the error comes from.
        lower_bound: Whether the scan cuts it at one of the times: then its change is not known, and
            what depends on the time between is None.
        doubling_days: In how many days it doubles its volume; None unless it grew by more than the
            error.
        overlap_percent: Of a lesion: share of the smaller that lies in the other, after the move.
        distance_mm: Of a lesion: between the centers, after the move.
    """

    number: int
    label: str
    kind: int
    prior_number: int
    prior_label: str
    prior_kind: int
    side: Side
    longest_mm: Measure
    volume_ml: Measure
    error_source: str
    lower_bound: bool = False
    doubling_days: float | None = None
    overlap_percent: float | None = None
    distance_mm: float | None = None

    @property
    def certain(self) -> bool:
        """Whether diameter or volume changed by more than the error."""
        changed = not (self.longest_mm.within_error and self.volume_ml.within_error)
        return changed and not self.lower_bound


def outline_error(mask: Mask, affine: Array) -> Errors:
    """Bounds the error of a structure whose outline may lie one voxel off.

    The volume may be off by its outermost layer, the voxels with a face outside; the diameter at
    each end by as much as that layer shortens it in its direction.

    Args:
        mask: (X, Y, Z), not empty.
        affine: (4, 4) to RAS mm.
    """
    box = bounding_box(mask)
    assert box is not None
    padded = np.pad(mask[box], 1)
    enclosed = padded.copy()
    for axis in range(3):
        for step in (1, -1):
            enclosed &= np.roll(padded, step, axis)
    ml = float((padded & ~enclosed).sum()) * voxel_volume_mm3(affine) / 1000
    first, second = diameter_ends(mask[box], affine)
    length = float(np.linalg.norm(second - first))
    steps = affine[:3, :3]
    extent = float(spacing_of(affine).max())
    if length:
        extent = float(np.abs((second - first) / length @ steps).max())
    return Errors(2 * extent, ml)


def change_of(
    prior: MeasuredSegment,
    now: MeasuredSegment,
    errors: tuple[Errors, Errors],
    days: int | None,
    overlap: float | None = None,
    distance: float | None = None,
) -> Change:
    """Compares a structure at two times.

    Args:
        prior: Earlier.
        now: Later.
        errors: Of both, in this order.
        days: Between them; None where it is not known.
        overlap: Of a lesion, 0 to 1.
        distance: Of a lesion, in mm.
    """
    cut = prior.lower_bound or now.lower_bound
    years = None if days is None or cut else days / YEAR
    mm = math.hypot(*(each.mm for each in errors))
    ml = math.hypot(*(each.ml for each in errors))
    volume = _measure(prior.volume_ml, now.volume_ml, ml, years)
    doubling = None
    if days and not cut and not volume.within_error and volume.change > 0 and prior.volume_ml:
        doubling = round(days * math.log(2) / math.log(now.volume_ml / prior.volume_ml), 0)
    measured = all(each.source == REPEATS for each in errors)
    return Change(
        now.number,
        now.label,
        now.kind,
        prior.number,
        prior.label,
        prior.kind,
        now.side,
        _measure(prior.longest_mm, now.longest_mm, mm, years),
        volume,
        REPEATS if measured else OUTLINE,
        cut,
        doubling,
        None if overlap is None else round(100 * overlap, 1),
        None if distance is None else round(distance, 1),
    )


def _measure(prior: float, now: float, error: float, years: float | None) -> Measure:
    change = now - prior
    return Measure(
        prior,
        now,
        round(change, 3),
        round(100 * change / prior, 1) if prior else None,
        round(change / years, 3) if years else None,
        round(error, 3),
        abs(change) <= error,
    )
