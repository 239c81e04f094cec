"""Table stations that form one volume, and stray slices far from the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from renalseg.dicom.read.interleaved import Heights, Part, by_pass, by_value, repeats
from renalseg.dicom.read.slice_grid import SAME_PLACE_MM, OrderedSlices
from renalseg.dicom.read.slice_spacing import GAP_FACTOR
from renalseg.dicom.tags import Instance

# A few slices farther away than this are none of the volume: they monitor the contrast, or a scan
# was broken off. Slices that are missing within a volume leave smaller gaps, or larger parts.
FAR_MM = 20.0
FAR_STEPS = 5.0
_STRAY_PLACES = 2
_LEAST_PLACES = 10  # of what the others are far away from
_MOST_SHARED = 0.25  # of the smaller of two stations

_ACQUISITIONS = ("AcquisitionNumber", "AcquisitionDateTime", "AcquisitionTime", "InstanceNumber")


class Joined(NamedTuple):
    """Stations that make one volume.

    Attributes:
        kept: The slices of the volume.
        shared: Slices at places where an earlier station has some, too.
        stations: How many there are.
    """

    kept: Part
    shared: Part
    stations: int


def split_strays(group: Sequence[Instance], heights: Heights) -> tuple[Part, list[Part]]:
    """Separate a volume from a few slices far away from it.

    Args:
        group: Slices of one geometry.
        heights: Of each.

    Returns:
        The volume, and the slices of each place far away.
    """
    order = sorted(group, key=lambda instance: heights[id(instance)])
    steps = np.diff([heights[id(instance)] for instance in order])
    apart = steps[steps >= SAME_PLACE_MM]
    if len(apart) < _LEAST_PLACES:
        return list(group), []
    far = steps > max(FAR_MM, FAR_STEPS * float(np.median(apart)))
    cuts = [0, *(np.flatnonzero(far) + 1).tolist(), len(order)]
    clusters = [order[start:stop] for start, stop in pairwise(cuts)]
    places = [
        1 + int((np.diff(_heights(part, heights)) >= SAME_PLACE_MM).sum()) for part in clusters
    ]
    strays = [part for part, count in zip(clusters, places, strict=True) if count <= _STRAY_PLACES]
    if max(places) < _LEAST_PLACES or len(clusters) - len(strays) != 1:
        return list(group), []
    away = {id(instance) for part in strays for instance in part}
    return [instance for instance in group if id(instance) not in away], strays


def join_stations(group: Sequence[Instance], heights: Heights) -> Joined | None:
    """Join acquisitions at adjoining positions of the table that share a few places.

    Args:
        group: Slices of one geometry of which some share a place or lie between others.
        heights: Of each.

    Returns:
        The volume; None where the acquisitions are none that follow one another along the table.
    """
    for parts in _parts(group, heights):
        if len(parts) > 1 and not any(repeats(part, heights) for part in parts):
            joined = _join(parts, heights)
            if joined is not None:
                return joined
    return None


def goes_on_in(one: OrderedSlices, other: OrderedSlices) -> bool:
    """Return whether another series begins where one ends, on the same grid.

    A program may have stored the parts of a scan as separate series.
    """
    frames = {grid.instances[0].optional("FrameOfReferenceUID") for grid in (one, other)}
    same_axes = np.allclose(one.affine[:3, :3], other.affine[:3, :3], atol=1e-3)
    if len(frames) > 1 or one.shape[:2] != other.shape[:2] or not same_axes:
        return False
    # where the first voxel of the other lies on the grid of the one, in voxels
    x, y, z = np.linalg.solve(one.affine[:3, :3], other.affine[:3, 3] - one.affine[:3, 3])
    above, below = z - (one.shape[2] - 1), -(z + other.shape[2] - 1)
    return bool(max(abs(x), abs(y)) < 1 and 0 < max(above, below) <= GAP_FACTOR)


def _parts(group: Sequence[Instance], heights: Heights) -> Iterator[list[Part]]:
    for keyword in _ACQUISITIONS:
        yield list(by_value(group, keyword).values())
        yield by_pass(group, keyword, heights)


def _join(parts: Sequence[Part], heights: Heights) -> Joined | None:
    parts = sorted(parts, key=lambda part: (min(_heights(part, heights)), -len(part)))
    kept, shared = list(parts[0]), list[Instance]()
    for before, part in pairwise(parts):
        top = max(_heights(kept, heights)) + SAME_PLACE_MM
        within = [instance for instance in part if heights[id(instance)] <= top]
        most = max(1, int(_MOST_SHARED * min(len(before), len(part))))
        if len(within) > most or len(within) == len(part):
            return None
        shared += within
        kept += [instance for instance in part if heights[id(instance)] > top]
    return Joined(kept, shared, len(parts)) if shared else None


def _heights(part: Sequence[Instance], heights: Heights) -> list[float]:
    return [heights[id(instance)] for instance in part]
