"""Which lesion of one time is which of the other, after each kidney was registered.

Lesions are matched one to one, those that overlap most first. A lesion that was called a tumor may
be matched with one that is called a cyst: the method may have changed its mind, not the patient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from renalseg.components import bounding_box, grow_box
from renalseg.findings.registration import AROUND_MM, MOST_MM, Alignment, align, carry
from renalseg.geometry import Array, to_world
from renalseg.grids import Grid
from renalseg.labels import KIDNEY, MeasuredSegment, Side

Numbers = npt.NDArray[np.uint8]
OVERLAP = 0.25  # of the smaller lesion, from which two are the same
NEAR_MM = 8.0  # between their centers, up to which two that hardly overlap are
LEAST_COVERED = 0.7  # of the smaller kidney, if the registration is to be trusted
_TISSUE, _LESION, _AROUND = 150.0, 60.0, -100.0  # HU with which labels are painted


@dataclass(frozen=True, eq=False)
class TimePoint:
    """What was found in a patient at one time.

    Attributes:
        segmented: Segment numbers (X, Y, Z).
        affine: (4, 4) of their grid to RAS mm, with orthogonal axes.
        segments: The segments, measured.
        image: HU (1, X, Y, Z) on that grid; None where the CT is not at hand.
    """

    segmented: Numbers
    affine: Array
    segments: Sequence[MeasuredSegment]
    image: MetaTensor | None = None

    def near(self) -> TimePoint:
        """The part of it that holds what was found, and as much around it as a kidney may move."""
        found = bounding_box(self.segmented)
        if found is None:
            return self
        grid = Grid(self.segmented.shape, self.affine)
        margin = np.ceil((MOST_MM + AROUND_MM) / grid.spacing).astype(int)
        if self.image is None:  # labels may end with their own grid
            affine = grid.crop(found).affine
            affine[:3, 3] -= affine[:3, :3] @ margin
            padded = np.pad(self.segmented[found], [(n, n) for n in margin])
            return TimePoint(padded, affine, self.segments)
        box = grow_box(found, margin, self.segmented.shape)
        affine = grid.crop(box).affine
        part = self.image.as_tensor()[(slice(None), *box)]
        image = MetaTensor(part, affine=torch.from_numpy(affine))
        return TimePoint(self.segmented[box], affine, self.segments, image)

    def of(self, side: Side, *, lesions: bool = False) -> list[MeasuredSegment]:
        """The segments of a side."""
        own = [segment for segment in self.segments if segment.side == side]
        return [segment for segment in own if segment.kind != KIDNEY] if lesions else own

    def kidney(self, side: Side) -> MeasuredSegment | None:
        """The kidney of a side; None where it shows none."""
        return next((each for each in self.of(side) if each.kind == KIDNEY), None)

    def labels(self, side: Side) -> Numbers:
        """Segment numbers of a side alone."""
        numbers = [segment.number for segment in self.of(side)]
        return np.where(np.isin(self.segmented, numbers), self.segmented, 0).astype(np.uint8)

    def painted(self) -> MetaTensor:
        """Labels as a CT might show them, where there is none."""
        kinds = {segment.number: segment.kind for segment in self.segments}
        values = np.full(256, _LESION, np.float32)
        values[0] = _AROUND
        values[[number for number, kind in kinds.items() if kind == KIDNEY]] = _TISSUE
        hu = torch.from_numpy(values[self.segmented])[None]
        return MetaTensor(hu, affine=torch.from_numpy(self.affine))


class Move(NamedTuple):
    """How a kidney lies at the earlier time.

    Attributes:
        alignment: From now to the earlier time.
        carried: Segment numbers of its side now, on the grid of the earlier time.
        covered: Share of the smaller kidney that lies in the other.
        by: What was registered: "ct" or "labels".
    """

    alignment: Alignment
    carried: Numbers
    covered: float
    by: str


class Pair(NamedTuple):
    """A lesion at both times.

    Attributes:
        prior: Earlier.
        now: Later.
        overlap: Share of the smaller that lies in the other, 0 to 1.
        distance: Between the centers, in mm.
    """

    prior: MeasuredSegment
    now: MeasuredSegment
    overlap: float
    distance: float


def find_move(prior: TimePoint, now: TimePoint, side: Side) -> Move | str:
    """Registers a kidney: by the CTs where both are at hand, else or if that fails by its labels.

    Args:
        prior: Earlier.
        now: Later.
        side: Of the kidney, which both times show.

    Returns:
        The move, or why there is none.
    """
    own, other = now.labels(side), prior.labels(side)
    offset = _center(other > 0, prior.affine) - _center(own > 0, now.affine)
    for by, fixed, moving in _ways(prior, now):
        near = MetaTensor(
            moving.as_tensor(), affine=torch.from_numpy(_moved(prior.affine, -offset))
        )
        found = align(fixed, own > 0, near)
        if found is None:
            continue
        carried = carry(own, now.affine, found, near)
        least = min(int((carried > 0).sum()), int((other > 0).sum()))
        covered = float(((carried > 0) & (other > 0)).sum()) / max(1, least)
        if covered >= LEAST_COVERED:
            alignment = found._replace(matrix=_moved(found.matrix, offset))
            return Move(alignment, carried, covered, by)
    return "the kidney does not come to lie on itself"


def _ways(prior: TimePoint, now: TimePoint) -> Iterator[tuple[str, MetaTensor, MetaTensor]]:
    if now.image is not None and prior.image is not None:
        yield "ct", now.image, prior.image
    yield "labels", now.painted(), prior.painted()


def match(
    prior: Sequence[MeasuredSegment],
    now: Sequence[MeasuredSegment],
    times: tuple[TimePoint, TimePoint],
    move: Move,
) -> list[Pair]:
    """Matches the lesions of a side.

    Args:
        prior: Those of the earlier time.
        now: Those of the later.
        times: Both times.
        move: Of their kidney.
    """
    before, after = times
    shown = (before.segmented > 0) | (move.carried > 0)
    joint = before.segmented[shown].astype(np.int64) * 256 + move.carried[shown]
    counts = np.bincount(joint, minlength=256 * 256).reshape(256, 256)
    sizes = counts.sum(axis=1), counts.sum(axis=0)
    centers = {
        each.number: _center(before.segmented == each.number, before.affine) for each in prior
    }
    pairs = []
    for later in now:
        center = to_world(
            move.alignment.matrix, _center(after.segmented == later.number, after.affine)
        )
        for earlier in prior:
            least = min(sizes[0][earlier.number], sizes[1][later.number])
            overlap = float(counts[earlier.number, later.number]) / max(1, int(least))
            distance = float(np.linalg.norm(center - centers[earlier.number]))
            if overlap >= OVERLAP or distance <= NEAR_MM:
                pairs.append(Pair(earlier, later, overlap, distance))
    chosen: list[Pair] = []
    for pair in sorted(pairs, key=lambda each: (-round(each.overlap, 2), each.distance)):
        if not any(pair.prior is each.prior or pair.now is each.now for each in chosen):
            chosen.append(pair)
    return sorted(chosen, key=lambda each: each.now.number)


def _center(mask: npt.NDArray[np.bool_], affine: Array) -> Array:
    return to_world(affine, np.argwhere(mask).mean(axis=0))


def _moved(matrix: Array, offset: Array) -> Array:
    """A matrix to RAS mm, and then on by an offset."""
    moved = np.array(matrix, dtype=np.float64)
    moved[:3, 3] += offset
    return moved
