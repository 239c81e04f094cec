"""What a person drew, as findings: edited segments are matched, named anew and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from renalseg.components import Mask
from renalseg.errors import InputError
from renalseg.findings.findings import Findings, describe_segments
from renalseg.findings.segments import split_segments
from renalseg.findings.sentences import Judgment
from renalseg.geometry import voxel_volume_mm3
from renalseg.labels import CYST, KIDNEY, LABELS, TUMOR, Segment, Side, Tracking
from renalseg.limits import Sides

LEAST_DICE = 0.1  # from which an edited segment is one of the earlier ones
_RANK = {KIDNEY: 0, CYST: 1, TUMOR: 2}  # of which of two segments has a voxel that both have


class Edited(NamedTuple):
    """A segment of an edited segmentation.

    Attributes:
        number: As the edited segmentation numbers it.
        mask: (X, Y, Z) on the grid of the CT's image, not empty.
        kind: What its code, its name or the caller says it is; None where nothing does.
    """

    number: int
    mask: Mask
    kind: int | None = None


class Sure(NamedTuple):
    """An edited segment whose kind is known.

    Attributes:
        edited: The segment.
        kind: Its kind.
        before: Number of the earlier segment that it is; None where it is new.
    """

    edited: Edited
    kind: int
    before: int | None


def find_same(
    edited: Sequence[Edited], segmented: npt.NDArray[np.uint8], segments: Sequence[Segment]
) -> list[Sure]:
    """Finds which edited segment is which of the earlier result, by overlap.

    Pairs are taken one to one, by their Dice. The kind of an edited segment is what it says itself,
    else that of its earlier segment.

    Args:
        edited: What the person drew.
        segmented: Segment numbers (X, Y, Z) of the earlier result.
        segments: Its segments.

    Raises:
        InputError: A segment says nothing and is none of the earlier ones.
    """
    sizes = np.bincount(segmented.ravel(), minlength=256)
    pairs = []
    for each in edited:
        shared = np.bincount(segmented[each.mask], minlength=256)
        size = int(each.mask.sum())
        for segment in segments:
            dice = 2 * int(shared[segment.number]) / (size + int(sizes[segment.number]))
            if dice >= LEAST_DICE:
                pairs.append((dice, each.number, segment.number))
    before: dict[int, int] = {}
    for _, number, earlier in sorted(pairs, reverse=True):
        if number not in before and earlier not in before.values():
            before[number] = earlier
    kinds = {segment.number: segment.kind for segment in segments}
    found = []
    for each in edited:
        earlier_number = before.get(each.number)
        kind = each.kind if each.kind is not None else kinds.get(earlier_number or 0)
        if kind is None:
            names = ", ".join(info.name for info in LABELS.values())
            raise InputError(
                f"Expected segment {each.number} of the edited segmentation to say what it is, by "
                f"its code, by its name or by its place, found none of {names}: give it with --kind"
            )
        found.append(Sure(each, kind, earlier_number))
    return found


def corrected_findings(
    image: MetaTensor,
    sure: Sequence[Sure],
    sides: Sides,
    judgment: Judgment,
    trackings: Mapping[int, Tracking],
    gaps: Sequence[tuple[int, int]] = (),
) -> tuple[Findings, dict[int, tuple[int, ...]]]:
    """Names, numbers and measures what a person drew, as a run does with what networks find.

    Each lesion that the person drew stays one segment. Kidneys are divided by side. Where segments
    overlap, a tumor comes before a cyst, and both before a kidney; of two of a kind, the smaller.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm.
        sure: The edited segments.
        sides: How left is told from right.
        judgment: What is said of them.
        trackings: What objects of the earlier result call its segments, by number.
        gaps: Where slices are missing.

    Returns:
        The findings, and the numbers of the edited segments by the number of each new one.
    """
    order = sorted(sure, key=lambda each: (_RANK[each.kind], -int(each.edited.mask.sum())))
    owner = np.zeros(image.shape[1:], np.uint8)  # place in the order, from 1
    for place, each in enumerate(order, start=1):
        owner[each.edited.mask] = place
    kinds = np.zeros(256, np.uint8)
    kinds[1 : len(order) + 1] = [each.kind for each in order]
    labels = MetaTensor(torch.from_numpy(kinds[owner])[None], affine=image.affine)
    segmented, parts = split_segments(labels, image, sides)
    segments = [part for part in parts if part.kind == KIDNEY]
    numbers = {part.number: part for part in parts}
    voxel_ml = voxel_volume_mm3(np.asarray(image.affine, np.float64)) / 1000
    lesions: list[tuple[int, Segment]] = []
    for kind in (TUMOR, CYST):
        counts = dict.fromkeys(Side, 0)
        own = [n for n, each in enumerate(order, start=1) if each.kind == kind]
        own = [place for place in own if (owner == place).any()]
        for place in sorted(own, key=lambda place: -int((owner == place).sum())):
            inside = np.bincount(segmented[owner == place], minlength=256)
            side = numbers[int(inside.argmax())].side
            counts[side] += 1
            number = len(segments) + len(lesions) + 1
            name = f"{side.value.capitalize()} kidney {LABELS[kind].name} {counts[side]}"
            ml = float(inside.sum()) * voxel_ml
            lesions.append((place, Segment(number, name, kind, side, ml)))
    kidneys = np.where(np.isin(segmented, [each.number for each in segments]), segmented, 0)
    final = kidneys.astype(np.uint8)
    for place, segment in lesions:
        final[owner == place] = segment.number
    every = (*segments, *(segment for _, segment in lesions))
    sources = {}
    for segment in every:
        places = np.unique(owner[final == segment.number])
        sources[segment.number] = tuple(sorted(order[at - 1].edited.number for at in places))
    before = {each.edited.number: each.before for each in sure}
    tracked = [
        replace(segment, tracking=_tracking(sources[segment.number], before, trackings))
        for segment in every
    ]
    return describe_segments(image, final, tracked, judgment, gaps), sources


def _tracking(
    sources: tuple[int, ...], before: Mapping[int, int | None], trackings: Mapping[int, Tracking]
) -> Tracking | None:
    known = [trackings.get(before.get(number) or 0) for number in sources]
    return next((each for each in known if each is not None), None)
