"""The findings of one series, followed through the other contrast phases of its study.

Each kidney is registered on its own (`registration`), its labels are carried along, and densities
are measured where they come to lie (`enhancement`). One series speaks for each phase.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from scipy import ndimage

from renalseg.components import bounding_box, grow_box
from renalseg.findings.enhancement import Values, enhancement_of, measure_values, remarks
from renalseg.findings.findings import Findings
from renalseg.findings.plausibility.phase import recognize
from renalseg.findings.registration import AROUND_MM, align, carry
from renalseg.geometry import Array
from renalseg.grids import Grid
from renalseg.labels import ContrastPhase, MeasuredSegment, SeriesPhase, Side
from renalseg.limits import Plausibility

Numbers = npt.NDArray[np.uint8]
NOT_SHOWN = "it does not show the kidneys as a whole, or they lie elsewhere"
NOT_RECOGNIZED = "its contrast phase is not recognized"
SAME_PHASE = "another series shows the same phase"


def follow(
    findings: Findings,
    image: MetaTensor,
    others: Iterable[tuple[str, MetaTensor]],
    limits: Plausibility,
) -> Findings:
    """Measures in each phase of a study what was found in one.

    Args:
        findings: Of the series that was segmented.
        image: Its HU (1, X, Y, Z), affine in RAS mm with orthogonal axes.
        others: SeriesInstanceUID and HU of further series in the same frame of reference, taken
            one by one.
        limits: Of the method.

    Returns:
        The findings with `Enhancement` of each segment that another series shows.
    """
    if not findings.segments:
        return findings
    image, segmented = _near(image, findings.segmented)
    own = findings.judgment.phase
    values: dict[ContrastPhase, dict[int, Values]] = {}
    if own != ContrastPhase.UNKNOWN:
        values[own] = _measure(image, segmented, findings.segments)
    phases = []
    for series, other in others:
        carried, shifts = _carry(image, segmented, findings.segments, other)
        if not shifts:
            phases.append(SeriesPhase(series, reason=NOT_SHOWN))
            continue
        phase = recognize(other, _kinds(carried, findings.segments), limits)
        reason = SAME_PHASE if phase in values else None
        if phase == ContrastPhase.UNKNOWN:
            reason = NOT_RECOGNIZED
        if reason is None:
            values[phase] = _measure(other, carried, findings.segments)
        phases.append(SeriesPhase(series, phase, shifts, reason))
    if len(values) < 2:
        return replace(findings, phases=tuple(phases))
    segments = []
    for segment in findings.segments:
        seen = {p: each[segment.number] for p, each in values.items() if segment.number in each}
        enhancement = enhancement_of(seen, segment.kind) if len(seen) > 1 else None
        segments.append(replace(segment, enhancement=enhancement))
    review = (*findings.judgment.review, *remarks(segments))
    judgment = replace(findings.judgment, review=review)
    return replace(findings, segments=tuple(segments), judgment=judgment, phases=tuple(phases))


def _near(image: MetaTensor, segmented: Numbers) -> tuple[MetaTensor, Numbers]:
    """The part of a series around what was found in it."""
    grid, found = Grid.of(image), bounding_box(segmented)
    assert found is not None  # each segment is in the map
    box = grow_box(found, AROUND_MM / grid.spacing, segmented.shape)
    affine = torch.from_numpy(grid.crop(box).affine)
    return MetaTensor(image.as_tensor()[(slice(None), *box)], affine=affine), segmented[box]


def _carry(
    image: MetaTensor, segmented: Numbers, segments: Sequence[MeasuredSegment], other: MetaTensor
) -> tuple[Numbers, dict[Side, float]]:
    """Segment numbers on the grid of another series, and how far each kidney moved."""
    affine: Array = np.asarray(image.affine, dtype=np.float64)
    carried, shifts = np.zeros(other.shape[1:], np.uint8), {}
    for side in Side:
        numbers = [segment.number for segment in segments if segment.side == side]
        labels = np.where(np.isin(segmented, numbers), segmented, 0)
        if not labels.any():
            continue
        alignment = align(image, labels > 0, other)
        if alignment is not None:
            carried = np.maximum(carried, carry(labels, affine, alignment, other))
            shifts[side] = round(alignment.shift_mm, 1)
    return carried, shifts


def _measure(
    image: MetaTensor, segmented: Numbers, segments: Iterable[MeasuredSegment]
) -> dict[int, Values]:
    hu, boxes = image[0].numpy(), ndimage.find_objects(segmented)
    measured = {}
    for segment in segments:
        box = boxes[segment.number - 1] if segment.number <= len(boxes) else None
        if box is not None:
            near = grow_box(box, (2, 2, 0), segmented.shape)
            values = measure_values(hu[near], segmented[near] == segment.number)
            assert values is not None  # the box holds it
            measured[segment.number] = values
    return measured


def _kinds(segmented: Numbers, segments: Iterable[MeasuredSegment]) -> Numbers:
    """The kind of each segment in the place of its number."""
    kinds = np.zeros(256, np.uint8)
    for segment in segments:
        kinds[segment.number] = segment.kind
    return kinds[segmented]
