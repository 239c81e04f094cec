"""Slice numbers by which people find slices in their viewers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from renalseg.components import bounding_box
from renalseg.dicom.read.series import CTSeries
from renalseg.intake.ct import CT
from renalseg.labels import MeasuredSegment


def image_names(ct: CT) -> tuple[str, ...]:
    """Name each source slice as viewers do, such as "81 of 129".

    Slices of a volume are counted from index 0 as it is stored. Of a series, the number is
    InstanceNumber (0020,0013), or that of the frame in a multi-frame object. Numbers that do not
    run from 1 stand alone. If several slices share one, slices are counted from index 0.
    """
    total = ct.slices
    if not isinstance(ct, CTSeries):
        return tuple(f"{index + 1} of {total}" for index in ct.turn.stored_slices())
    numbers = [_number(ct, header) for header in ct.headers]
    if None in numbers or len(set(numbers)) < total:
        numbers = list(range(1, total + 1))
    if set(numbers) != set(range(1, total + 1)):
        return tuple(map(str, numbers))
    return tuple(f"{number} of {total}" for number in numbers)


def slice_levels(ct: CT) -> npt.NDArray[np.int64]:
    """Give the index of each source slice along the last axis of the image."""
    return ct.planes.levels if isinstance(ct, CTSeries) else np.arange(ct.slices)


def name_images(
    ct: CT, segmented: npt.NDArray[np.uint8], segments: Sequence[MeasuredSegment]
) -> list[MeasuredSegment]:
    """Add to each segment the source slice that shows most of it.

    Args:
        ct: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        segments: The segments.
    """
    if not segments:
        return []
    names = image_names(ct)
    box = bounding_box(segmented)
    assert box is not None  # each segment is in the map
    counts = np.array(
        [
            np.bincount(segmented[*box[:2], level].ravel(), minlength=len(segments) + 1)
            for level in slice_levels(ct)
        ]
    )
    most = counts.argmax(axis=0)
    return [replace(segment, image=names[most[segment.number]]) for segment in segments]


def image_range(ct: CT, segmented: npt.NDArray[np.uint8], number: int) -> str:
    """Name the first and the last source slice that show a segment, as "70 to 95 of 129".

    Args:
        ct: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        number: Of the segment.
    """
    shown = (segmented == number).any(axis=(0, 1))[slice_levels(ct)]
    names = [name for name, one in zip(image_names(ct), shown, strict=True) if one]
    if not names:
        return ""
    first, last = sorted((names[0], names[-1]), key=lambda name: int(name.split()[0]))
    return last if first == last else f"{first.split()[0]} to {last}"


def _number(series: CTSeries, header: Dataset) -> int | None:
    frame = series.frames.get(str(header.get("SOPInstanceUID")))
    if frame is not None:
        return frame.number
    try:
        return int(header.InstanceNumber)
    except (AttributeError, TypeError, ValueError):
        return None
