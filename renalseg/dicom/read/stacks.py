"""Split a series into stacks: slices of one geometry and phase, which may form a volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from renalseg.dicom.read.interleaved import Heights, interleaved, repeats, split_phases
from renalseg.dicom.read.slice_grid import SAME_ORIENTATION, SAME_SPACING
from renalseg.dicom.read.stations import join_stations, split_strays
from renalseg.dicom.tags import Instance, describe
from renalseg.errors import InputError
from renalseg.geometry import Array, slice_normal

_FRAME = "FrameOfReferenceUID"
MANY = 5  # so many slices that each have a value of their own were not made so by a scanner


class Stack(NamedTuple):
    """Part of a series.

    Attributes:
        instances: Its slices.
        part: What distinguishes it from the other stacks; None if the series is one stack.
        reason: Why it is not a volume; None if it may be one.
        warnings: What is unusual about it but processed.
    """

    instances: tuple[Instance, ...]
    part: str | None
    reason: str | None = None
    warnings: tuple[str, ...] = ()


def split_series(instances: Sequence[Instance]) -> list[Stack]:
    """Split a series by frame of reference, orientation and size, then by phase.

    Args:
        instances: Slices of one series, without copies.

    Returns:
        The stacks; each slice is in one.

    Raises:
        InputError: If a slice lacks its geometry, each has a frame of reference of its own, or
            slices of one acquisition lie at one place and differ.
    """
    _refuse_frame_per_slice(instances)
    geometries = _by_geometry(instances)
    alone = [group[0] for group in geometries if len(group) == 1]
    if len(alone) >= MANY:
        geometries = [group for group in geometries if len(group) > 1]
    stacks = []
    for number, group in enumerate(geometries, start=1):
        place = f"geometry {number} of {len(geometries)}" if len(geometries) > 1 else None
        for stack in _stacks(group):
            names = [name for name in (place, stack.part) if name]
            stacks.append(stack._replace(part=", ".join(names) or None))
    if len(alone) >= MANY:
        reason = f"each of {len(alone)} slices has its own orientation, spacing or size"
        stacks.append(Stack(tuple(alone), "single geometries" if geometries else None, reason))
    return stacks


def _refuse_frame_per_slice(instances: Sequence[Instance]) -> None:
    frames = {instance.optional(_FRAME) for instance in instances}
    if len(frames) >= MANY and 2 * len(frames) > len(instances):
        raise InputError(
            f"expected one {describe(_FRAME)} in a series, found {len(frames)} in "
            f"{len(instances)} slices: a program gave each slice its own, so it is unknown "
            "whether they lie in one patient space; export the series again"
        )


def _by_geometry(instances: Sequence[Instance]) -> list[list[Instance]]:
    groups: list[tuple[str, Array, list[Instance]]] = []
    for instance in instances:
        frame = instance.optional(_FRAME)
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


def _stacks(group: Sequence[Instance]) -> Iterator[Stack]:
    """The volumes that slices of one geometry hold, and what is none."""
    heights = dict(zip(map(id, group), _heights(group), strict=True))
    volume, strays = split_strays(group, heights)
    for slices in strays:
        height = heights[id(slices[0])]
        yield Stack(
            tuple(slices),
            f"apart at z={height:.2f} mm",
            f"{_count(slices)} at z={height:.2f} mm, far from the other {len(volume)}",
        )
    if not repeats(volume, heights) and not interleaved(volume, heights):
        yield Stack(tuple(volume), None)
        return
    joined = join_stations(volume, heights)
    if joined is not None:
        found = f"{joined.stations} table stations were joined into one volume"
        shared = f"{_count(joined.shared)} at places that two stations share"
        yield Stack(tuple(joined.kept), None, warnings=(found,))
        yield Stack(tuple(joined.shared), "overlap of stations", f"{shared}: one is enough")
        return
    yield from _phases(volume, heights)


def _phases(group: Sequence[Instance], heights: Heights) -> Iterator[Stack]:
    phases = split_phases(group, heights)
    if phases is None:
        yield Stack(tuple(group), None)
        return
    for name, slices in phases:
        yield Stack(tuple(slices), name)


def _count(slices: Sequence[Instance]) -> str:
    return "1 slice lies" if len(slices) == 1 else f"{len(slices)} slices lie"


def _heights(group: Sequence[Instance]) -> Array:
    """Positions (S,) along the normal in mm."""
    normal = slice_normal(group[0].numbers("ImageOrientationPatient", 6))
    positions = np.stack([instance.numbers("ImagePositionPatient", 3) for instance in group])
    return np.asarray(positions @ normal, dtype=np.float64)
