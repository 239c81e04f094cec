"""Keep one of several copies of a slice, and tell copies from slices that contradict each other."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence

import numpy as np

from renalseg.dicom.pixels import decode
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


def _same(first: Instance, second: Instance) -> bool:
    if filecmp.cmp(first.path, second.path, shallow=False):
        return True
    if any(first.value(keyword) != second.value(keyword) for keyword in _DECISIVE):
        return False
    return np.array_equal(decode(first), decode(second))
