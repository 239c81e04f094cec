"""Choose the CT series to process among those of a folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from renalseg.dicom.tags import Instance
from renalseg.errors import InputError
from renalseg.geometry import slice_normal

logger = logging.getLogger(__name__)


class Score(NamedTuple):
    """How well a series suits; compared field by field, more is better.

    Attributes:
        located: Every slice says where it lies.
        original: Acquired, not derived from other images.
        axial: The slice plane is within 45 degrees of the transverse plane.
        slices: Number of slices.
        fineness: Minus the distance between slices, in mm.
    """

    located: bool
    original: bool
    axial: bool
    slices: int
    fineness: float


def choose_series(instances: Sequence[Instance]) -> tuple[list[Instance], list[str]]:
    """Choose the series that suits best.

    Args:
        instances: CT slices of one patient.

    Returns:
        The slices of the chosen series, and one warning for each other series.

    Raises:
        InputError: If the slices belong to several studies.
    """
    studies = sorted({instance.text("StudyInstanceUID") for instance in instances})
    if len(studies) > 1:
        raise InputError(f"expected one study, found {len(studies)}: {', '.join(studies)}")
    groups: dict[str, list[Instance]] = {}
    for instance in instances:
        groups.setdefault(instance.text("SeriesInstanceUID"), []).append(instance)

    scores = {uid: _score(group) for uid, group in groups.items()}
    for uid, score in scores.items():
        logger.info("series %s: %s", uid, score)
    # By UID first, so that equal scores give the same choice whatever the file names are.
    chosen = max(sorted(groups), key=scores.__getitem__)
    warnings = [
        f"series {uid} ({scores[uid].slices} slices) was not processed: series {chosen} "
        f"({scores[chosen].slices} slices) suits better"
        for uid in sorted(groups)
        if uid != chosen
    ]
    return groups[chosen], warnings


def _score(group: Sequence[Instance]) -> Score:
    original = "ORIGINAL" in (group[0].header.get("ImageType") or [])
    try:
        positions = np.stack([instance.numbers("ImagePositionPatient", 3) for instance in group])
        orientation = group[0].numbers("ImageOrientationPatient", 6)
        group[0].numbers("PixelSpacing", 2)
    except InputError:
        return Score(False, original, False, len(group), 0.0)
    normal = slice_normal(orientation)
    extent = float(np.ptp(positions @ normal))
    step = extent / max(1, len(group) - 1)
    return Score(True, original, bool(abs(normal[2]) > np.sqrt(0.5)), len(group), -step)
