"""Part a series into stacks: slices of one geometry and of one phase, which may form a volume."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from renalseg.dicom.grid import SAME_ORIENTATION, SAME_PLACE_MM, SAME_SPACING
from renalseg.dicom.tags import Instance
from renalseg.geometry import Array, slice_normal

# What may tell phases of one series apart, the most telling first.
_PHASES = (
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "TriggerTime",
    "NominalPercentageOfCardiacPhase",
    "ImageType",
    "ConvolutionKernel",
    "KVP",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "ContentTime",
    "SeriesTime",
)
# What grows from one pass of the table to the next.
_PASSES = (
    "AcquisitionNumber",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "ContentTime",
    "InstanceNumber",
)
_JUMP = 1.5  # a step this many times the usual one starts another pass


class Stack(NamedTuple):
    """Part of a series.

    Attributes:
        instances: Its slices.
        part: What tells it from the other stacks; None where the series is one stack.
    """

    instances: tuple[Instance, ...]
    part: str | None


def split_series(instances: Sequence[Instance]) -> list[Stack]:
    """Part a series by its frame of reference, orientation and size, then by phases.

    Args:
        instances: Slices of one series, without copies.

    Returns:
        The stacks; each slice is in one.

    Raises:
        InputError: If a slice lacks its geometry.
    """
    stacks = []
    geometries = _by_geometry(instances)
    for number, group in enumerate(geometries, start=1):
        place = f"geometry {number} of {len(geometries)}" if len(geometries) > 1 else None
        for phase, slices in _by_phase(group):
            names = [name for name in (place, phase) if name]
            stacks.append(Stack(tuple(slices), ", ".join(names) or None))
    return stacks


def _by_geometry(instances: Sequence[Instance]) -> list[list[Instance]]:
    groups: list[tuple[str, Array, list[Instance]]] = []
    for instance in instances:
        frame = instance.optional("FrameOfReferenceUID")
        values = np.concatenate(
            [
                instance.numbers("ImageOrientationPatient", 6) / SAME_ORIENTATION,
                np.log(instance.numbers("PixelSpacing", 2).clip(min=1e-6)) / SAME_SPACING,
                2 * instance.numbers("Rows", 1),
                2 * instance.numbers("Columns", 1),
            ]
        )
        for other_frame, other, group in groups:
            if frame == other_frame and np.abs(values - other).max() <= 1:
                group.append(instance)
                break
        else:
            groups.append((frame, values, [instance]))
    return [group for _, _, group in groups]


def _by_phase(group: Sequence[Instance]) -> list[tuple[str | None, list[Instance]]]:
    heights = dict(zip(map(id, group), _heights(group), strict=True))

    def height(instance: Instance) -> float:
        return float(heights[id(instance)])

    def repeats(slices: Sequence[Instance]) -> bool:
        places = sorted(map(height, slices))
        return any(high - low < SAME_PLACE_MM for low, high in pairwise(places))

    def divides(parts: Sequence[Sequence[Instance]], count: int) -> bool:
        """Whether one part may be a volume: each place once, and at least half of all places."""
        return (
            len(parts) > 1
            and any(not repeats(part) and 2 * len(part) >= max(places, 4) for part in parts)
            and sum(map(repeats, parts)) <= count
        )

    if not repeats(group) and not _interleaved(group, heights):
        return [(None, list(group))]
    places = 1 + int((np.diff(np.sort(list(heights.values()))) >= SAME_PLACE_MM).sum())
    # first what tells all phases apart, then what tells at least one from the rest
    for allowed in (0, len(group)):
        for keyword in _PHASES:
            named = _by_value(group, keyword)
            if divides(list(named.values()), allowed):
                return [(f"{keyword} {value or 'missing'}", part) for value, part in named.items()]
        for keyword in _PASSES:
            passes = _by_pass(group, keyword, heights)
            if divides(passes, allowed):
                count = len(passes)
                return [
                    (f"pass {number} of {count} by {keyword}", part)
                    for number, part in enumerate(passes, start=1)
                ]
    return [(None, list(group))]


def _heights(group: Sequence[Instance]) -> Array:
    """Positions (S,) along the normal in mm."""
    normal = slice_normal(group[0].numbers("ImageOrientationPatient", 6))
    positions = np.stack([instance.numbers("ImagePositionPatient", 3) for instance in group])
    return np.asarray(positions @ normal, dtype=np.float64)


def _by_value(group: Sequence[Instance], keyword: str) -> dict[str, list[Instance]]:
    parts: dict[str, list[Instance]] = {}
    for instance in group:
        parts.setdefault("/".join(instance.words(keyword)), []).append(instance)
    return dict(sorted(parts.items()))


def _interleaved(group: Sequence[Instance], heights: dict[int, float]) -> bool:
    """Whether acquisitions overlap though no two slices share a place."""
    ranges = []
    for part in _by_value(group, "AcquisitionNumber").values():
        places = sorted(heights[id(instance)] for instance in part)
        if len(places) > 2:
            ranges.append((places[0], places[-1], float(np.median(np.diff(places)))))
    ranges.sort()
    return any(low < end - step for (_, end, step), (low, _, _) in pairwise(ranges))


def _by_pass(
    group: Sequence[Instance], keyword: str, heights: dict[int, float]
) -> list[list[Instance]]:
    """Follow the slices in time; where they jump or turn, another pass begins."""
    try:
        order = sorted(
            (float(instance.optional(keyword)), float(instance.optional("InstanceNumber") or 0), n)
            for n, instance in enumerate(group)
        )
    except ValueError:  # without a number or a time, or with a damaged one
        return []
    steps = np.diff([heights[id(group[n])] for _, _, n in order])
    usual = float(np.median(np.abs(steps)))
    passes = [[group[order[0][2]]]]
    way = 0.0
    for index, step in enumerate(steps):
        if abs(step) > _JUMP * usual or step * way < 0 or abs(step) < SAME_PLACE_MM:
            if order[index + 1][0] <= order[index][0]:
                return []  # at the same time: this does not tell them apart
            passes.append([])
            way = 0.0
        else:
            way = float(step)
        passes[-1].append(group[order[index + 1][2]])
    return passes
