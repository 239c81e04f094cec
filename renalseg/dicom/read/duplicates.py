"""Copies of slices: keep one of each, and refuse slices that contradict each other."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence

import numpy as np

from renalseg.dicom.read.pixels import decode
from renalseg.dicom.read.slice_grid import SAME_ORIENTATION
from renalseg.dicom.read.slice_spacing import SAME_PLACE_MM
from renalseg.dicom.tags import Instance
from renalseg.errors import InputError

_DECISIVE = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
)


def drop_duplicates(instances: Sequence[Instance]) -> tuple[list[Instance], list[Instance]]:
    """Keep one of several copies of a slice.

    Args:
        instances: Slices of one series.

    Returns:
        The slices without copies, and the copies.

    Raises:
        InputError: If two files claim to be the same slice and differ.
    """
    kept: dict[str, Instance] = {}
    copies: list[Instance] = []
    for instance in instances:
        first = kept.setdefault(instance.uid, instance)
        if first is instance:
            continue
        if not _same(first, instance):
            raise InputError(
                f"conflicting instances: {first.path} and {instance.path} differ and share "
                f"SOPInstanceUID {instance.uid}"
            )
        copies.append(instance)
    return list(kept.values()), copies


def drop_equal_slices(instances: Sequence[Instance]) -> tuple[list[Instance], list[Instance]]:
    """Keep one of several slices at one position with equal pixels but different UIDs.

    An archive may give new UIDs to a series that is stored again, and table stations may share a
    slice. Pixels are read only where slices share a position, up to the first difference: phases
    differ at once. Slices are dropped only if all that share a position are equal, first within
    each acquisition, then overall.

    Args:
        instances: Slices of one series, without copies of the same UID.

    Returns:
        The slices without copies, and the copies.
    """
    acquisitions: dict[str, list[Instance]] = {}
    for instance in instances:
        acquisitions.setdefault(instance.optional("AcquisitionNumber"), []).append(instance)
    copies: list[Instance] = []
    for group in acquisitions.values():
        copies += _equal_slices(group)
    seen = set(map(id, copies))
    copies += _equal_slices([instance for instance in instances if id(instance) not in seen])
    seen.update(map(id, copies))
    return [instance for instance in instances if id(instance) not in seen], copies


def _equal_slices(instances: Sequence[Instance]) -> list[Instance]:
    """Return all but one of the slices at each position, if they are equal at every position."""
    places: dict[tuple[object, ...], list[Instance]] = {}
    for instance in instances:
        try:
            position = instance.numbers("ImagePositionPatient", 3)
            orientation = instance.numbers("ImageOrientationPatient", 6)
        except InputError:
            continue  # its series is refused for it
        key = (*np.rint(position / SAME_PLACE_MM), *np.rint(orientation / SAME_ORIENTATION))
        frame = instance.optional("FrameOfReferenceUID")
        places.setdefault((frame, *key), []).append(instance)
    # the same one is kept whatever the files are called
    shared = [sorted(each, key=lambda one: one.uid) for each in places.values() if len(each) > 1]
    try:
        equal = all(_equal(each[0], other) for each in shared for other in each[1:])
    except InputError:  # what cannot be decoded is nobody's copy
        return []
    return [copy for each in shared for copy in each[1:]] if equal else []


def _equal(first: Instance, second: Instance) -> bool:
    names = ("PixelSpacing", "RescaleSlope", "RescaleIntercept")
    if any(first.value(keyword) != second.value(keyword) for keyword in names):
        return False
    return np.array_equal(decode(first), decode(second))


def _same(first: Instance, second: Instance) -> bool:
    if filecmp.cmp(first.path, second.path, shallow=False):
        return True
    if any(first.value(keyword) != second.value(keyword) for keyword in _DECISIVE):
        return False
    return np.array_equal(decode(first), decode(second))
