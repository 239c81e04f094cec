"""The other series of a study in which the same kidneys can be seen."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from monai.data import MetaTensor

from renalseg.dicom.read.plan import Candidate
from renalseg.dicom.read.series import load
from renalseg.errors import InputError
from renalseg.intake.folders import AnyStudy
from renalseg.intake.volumes import VolumeOutcome

logger = logging.getLogger(__name__)

_MOST = 4  # series, each of which takes seconds


def companions(study: AnyStudy) -> Sequence[Candidate]:
    """Name the other usable series of a study in the frame of reference of the best, best first.

    Args:
        study: After its CT was read, so that what proved unusable is known.
    """
    if isinstance(study, VolumeOutcome) or (best := study.left.best) is None:
        return ()
    frame = _frame(best)
    others = [
        other
        for other in study.left.candidates
        if other is not best and other.reason is None and frame == _frame(other) != ""
    ]
    return sorted(others, key=lambda other: -other.score["total"])[:_MOST]


def read_all(candidates: Sequence[Candidate]) -> Iterator[tuple[str, MetaTensor]]:
    """Read series one by one: SeriesInstanceUID and HU (1, X, Y, Z).

    What cannot be read is left out, since the result stands without it.
    """
    for candidate in candidates:
        try:
            series = load(candidate)
        except InputError as error:
            logger.warning("%s was not compared: %s", candidate.name, error)
        else:
            yield candidate.series, series.image


def _frame(candidate: Candidate) -> str:
    if candidate.grid is None:
        return ""
    return candidate.grid.instances[0].optional("FrameOfReferenceUID")
