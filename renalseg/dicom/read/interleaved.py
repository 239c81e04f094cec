"""Splits interleaved slices of a series: acquisitions, phases, passes of the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from renalseg.dicom.read.slice_grid import SAME_PLACE_MM
from renalseg.dicom.read.slice_spacing import GAP_FACTOR
from renalseg.dicom.tags import Instance
from renalseg.errors import InputError
from renalseg.geometry import Array

Heights = Mapping[int, float]
"""Positions along the slice normal in mm, by the `id` of the instance."""

Part = list[Instance]

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
# What shows that slices between each other are of two phases. Times do not: each slice has its own.
_BETWEEN = ("AcquisitionNumber", "TemporalPositionIdentifier", "TemporalPositionIndex", "ImageType")
_BETWEEN_TOO = ("ConvolutionKernel", "KVP")
# What differs between slices of one acquisition as well.
_WEAK = frozenset({"ContentTime", "SeriesTime", "InstanceNumber"})
_JUMP = 1.5  # a step this many times the usual one starts another pass
_LEAST = 4  # slices that may be a volume


def repeats(part: Sequence[Instance], heights: Heights) -> bool:
    """Return whether two slices share a position."""
    places = sorted(heights[id(instance)] for instance in part)
    return any(high - low < SAME_PLACE_MM for low, high in pairwise(places))


def interleaved(group: Sequence[Instance], heights: Heights) -> bool:
    """Return whether parts interleave although no two slices share a position."""
    splits = [list(by_value(group, keyword).values()) for keyword in (*_BETWEEN, *_BETWEEN_TOO)]
    splits.append([part for part in by_pass(group, "InstanceNumber", heights) if len(part) > 2])
    return any(
        _lies_between(one, other, heights)
        for parts in splits
        for one in parts
        for other in parts
        if one is not other and len(other) > 2
    )


def split_phases(group: Sequence[Instance], heights: Heights) -> list[tuple[str, Part]] | None:
    """Split slices of which some share a position or lie between others.

    Args:
        group: Slices of one geometry.
        heights: Of each.

    Returns:
        What distinguishes each phase, with its slices; None if nothing does.

    Raises:
        InputError: If slices of one acquisition at one position differ.
    """
    # first what tells all phases apart, then what tells at least one from the rest
    for allowed in (0, len(group)):
        for keyword, named in _splits(group, heights):
            parts = [part for _, part in named]
            if _divides(parts, group, heights, allowed):
                if keyword in _WEAK:
                    _refuse_conflict(parts, heights)
                return named
    return None


def by_value(group: Sequence[Instance], keyword: str) -> dict[str, Part]:
    """Group slices by the value of an attribute, in the order of the values."""
    parts: dict[str, Part] = {}
    for instance in group:
        parts.setdefault("/".join(instance.words(keyword)), []).append(instance)
    return dict(sorted(parts.items()))


def by_pass(group: Sequence[Instance], keyword: str, heights: Heights) -> list[Part]:
    """Follow the slices in time; where they jump or turn, another pass begins."""
    try:
        order = sorted(
            (float(instance.optional(keyword)), float(instance.optional("InstanceNumber") or 0), n)
            for n, instance in enumerate(group)
        )
    except ValueError:  # without a number or a time, or with a damaged one
        return []
    steps = np.diff([heights[id(group[n])] for _, _, n in order])
    usual = float(np.median(np.abs(steps))) if len(steps) else 0.0
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


def _splits(
    group: Sequence[Instance], heights: Heights
) -> Iterator[tuple[str, list[tuple[str, Part]]]]:
    """All ways to split slices, with their keywords and the names of the parts."""
    for keyword in _PHASES:
        parts = by_value(group, keyword)
        yield keyword, [(f"{keyword} {value or 'missing'}", part) for value, part in parts.items()]
    for keyword in _PASSES:
        passes = by_pass(group, keyword, heights)
        names = [
            f"pass {number} of {len(passes)} by {keyword}" for number in range(1, len(passes) + 1)
        ]
        yield keyword, list(zip(names, passes, strict=True))


def _divides(
    parts: Sequence[Part], group: Sequence[Instance], heights: Heights, allowed: int
) -> bool:
    """Whether one part may be a volume, and at most so many hold a place twice."""
    return (
        len(parts) > 1
        and any(_may_be_volume(part, group, heights) for part in parts)
        and sum(repeats(part, heights) for part in parts) <= allowed
    )


def _may_be_volume(part: Part, group: Sequence[Instance], heights: Heights) -> bool:
    """Whether a part has each place once, and half of all places, or an even half of the extent."""
    if repeats(part, heights) or len(part) < _LEAST // 2:
        return False
    everywhere = _places(group, heights)
    if 2 * len(part) >= max(len(everywhere), _LEAST):
        return True
    own = _places(part, heights)
    steps = np.diff(own)
    even = len(part) >= _LEAST and steps.max() <= GAP_FACTOR * np.median(steps)
    return bool(even and 2 * (own[-1] - own[0]) >= everywhere[-1] - everywhere[0])


def _places(part: Sequence[Instance], heights: Heights) -> Array:
    """The heights of slices in order, each once."""
    found = np.sort([heights[id(instance)] for instance in part])
    return np.asarray(found[np.concatenate([[True], np.diff(found) >= SAME_PLACE_MM])])


def _lies_between(one: Part, other: Part, heights: Heights) -> bool:
    """Whether a slice of one part lies between neighbors of the other where that lacks none."""
    places = _places(other, heights)
    steps = np.diff(places)
    if not len(steps):
        return False
    usual = float(np.median(steps))
    for instance in one:
        height = heights[id(instance)]
        index = int(np.searchsorted(places, height))
        if 0 < index < len(places):
            below, above = height - places[index - 1], places[index] - height
            apart = min(below, above) >= SAME_PLACE_MM
            if apart and steps[index - 1] <= GAP_FACTOR * usual:
                return True
    return False


def _refuse_conflict(parts: Sequence[Part], heights: Heights) -> None:
    """Refuse a few slices that contradict others of their acquisition; whole phases do not."""
    largest = max(parts, key=len)
    places = [(heights[id(instance)], instance) for instance in largest]
    for part in parts:
        if 2 * len(part) >= len(largest):
            continue
        for instance in part:
            height = heights[id(instance)]
            near, other = min(places, key=lambda place: abs(place[0] - height))
            if abs(near - height) < SAME_PLACE_MM:
                raise InputError(
                    f"conflicting slices: {other.path} and {instance.path} both lie at "
                    f"z={height:.2f} mm, belong to one acquisition, and their pixels differ"
                )
