"""How sure a result is of each tumor and cyst.

The output of a network is no probability: training shows it more lesions than patients have. Platt
scaling on lesions of validation patients makes one of it (Platt, "Probabilistic outputs for support
vector machines", 1999).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from renalseg.components import Mask, bounding_box
from renalseg.evidence import LESIONS, Evidence
from renalseg.findings.plausibility import Doubt
from renalseg.geometry import Array
from renalseg.grids import Grid
from renalseg.labels import KIDNEY, TUMOR, Confidence, MeasuredSegment
from renalseg.limits import ReviewLimits

NOT_CALIBRATED = "the method was not calibrated"
_CERTAIN = 1e-3  # float16 tells no output nearer to 0 or 1 apart


@dataclass(frozen=True)
class Calibration:
    """How often lesions of a method were real in validation patients.

    Attributes:
        intercept: Log odds of a lesion whose mean output is 0.5.
        slope: By which they rise with the log odds of the mean output.
    """

    intercept: float
    slope: float

    def probability(self, mean_output: float) -> float:
        """Gives the probability that a lesion is real.

        Args:
            mean_output: Of the networks over it.
        """
        return 1 / (1 + math.exp(-self.intercept - self.slope * log_odds(mean_output)))


def log_odds(output: float) -> float:
    """Gives the log odds of an output from 0 to 1."""
    kept = min(max(output, _CERTAIN), 1 - _CERTAIN)
    return math.log(kept / (1 - kept))


def add_confidence(
    segmented: npt.NDArray[np.uint8],
    affine: Array,
    segments: Sequence[MeasuredSegment],
    evidence: Evidence | None,
    calibration: Calibration | str,
    limits: ReviewLimits,
    doubts: Sequence[Doubt] = (),
) -> list[MeasuredSegment]:
    """Adds to each tumor and cyst how sure the result is of it.

    Args:
        segmented: Segment numbers (X, Y, Z).
        affine: (4, 4) of their grid, to RAS mm.
        segments: The segments, in the order of their numbers.
        evidence: What the networks know; without, nothing is added.
        calibration: Of the method; or why there is none.
        limits: Below which a person should look.
        doubts: What is implausible in tumors.
    """
    found = bounding_box(segmented)
    if found is None or evidence is None:
        return list(segments)
    x, y, z = segmented.shape
    grid, local = Grid((x, y, z), affine).crop(found), segmented[found]
    done = []
    boxes = ndimage.find_objects(local, max_label=len(segments))
    for segment, box in zip(segments, boxes, strict=True):
        if segment.kind != KIDNEY:
            reasons = [text for place, text in doubts if segmented[place] == segment.number]
            mask = local[box] == segment.number
            judged = judge_lesion(mask, grid.crop(box), segment.kind, evidence, calibration)
            review = (*reasons, *_reasons(judged, limits))
            segment = replace(segment, confidence=replace(judged, review=review))
        done.append(segment)
    return done


def judge_lesion(
    mask: Mask, grid: Grid, kind: int, evidence: Evidence, calibration: Calibration | str
) -> Confidence:
    """Says how sure a result is of a tumor or cyst.

    Args:
        mask: Its voxels (X, Y, Z).
        grid: Of the mask.
        kind: `TUMOR` or `CYST`.
        evidence: What the networks know.
        calibration: Of the method; or why there is none.
    """
    outputs = evidence.on(grid)[LESIONS.index(kind)].numpy()[mask]
    mean = float(outputs.mean())
    # most networks know no cysts, and say nothing about one by not calling it a lesion
    others = evidence.seen(grid) if kind == TUMOR else ()
    seen = [float(lesions.numpy()[mask].mean()) for lesions in others]
    judged = Confidence(
        mean_output=round(mean, 3),
        peak_output=round(float(outputs.max()), 3),
        agreement_percent=round(100 * sum(seen) / len(seen), 1) if seen else None,
    )
    if isinstance(calibration, str):
        return replace(judged, reason=calibration)
    return replace(judged, probability=round(calibration.probability(mean), 2))


def _reasons(judged: Confidence, limits: ReviewLimits) -> Iterator[str]:
    if judged.probability is not None and judged.probability < limits.probability:
        yield f"is real with a probability of {judged.probability:.2f} only"
    agreement = judged.agreement_percent
    if agreement is not None and agreement < limits.agreement_percent:
        yield f"is called a lesion by the other networks in {agreement:.0f} % of its volume only"


def sentences_for_review(segments: Sequence[MeasuredSegment], said: Sequence[Doubt]) -> list[str]:
    """Gives a sentence for each lesion with reasons for review.

    Args:
        segments: With their confidence.
        said: Doubts that are said elsewhere.
    """
    known = {text for _, text in said}
    return [
        f"{segment.label} {reason}."
        for segment in segments
        if segment.confidence is not None
        for reason in segment.confidence.review
        if reason not in known
    ]
