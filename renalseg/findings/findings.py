"""The findings of a study: the product of the stage `measure` and the input of `write`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from monai.data import MetaTensor

from renalseg.evidence import Evidence, evidence_of
from renalseg.findings.confidence import (
    NOT_CALIBRATED,
    Calibration,
    add_confidence,
    sentences_for_review,
)
from renalseg.findings.followup.comparison import Comparison
from renalseg.findings.measurements import measure
from renalseg.findings.nephrometry import Levels, add_nephrometry
from renalseg.findings.plausibility import judge
from renalseg.findings.segments import split_segments
from renalseg.findings.sentences import Correction, Judgment, cut_off
from renalseg.labels import MeasuredSegment, Segment, SeriesPhase
from renalseg.limits import Numbers, Sides


@dataclass(frozen=True)
class Findings:
    """The reportable findings of a study.

    Attributes:
        segmented: Segment numbers (X, Y, Z) uint8 on the grid of the image, 0 where there is none.
        segments: The segments, measured, in the order of their numbers.
        judgment: What is said of them besides their measures.
        phases: The other series of the study in which they were followed.
        comparison: What changed since an earlier study; None without one.
        correction: What a person made of them; None where it is what networks found.
        evidence: What the networks know besides; None where they are not at hand.
    """

    segmented: npt.NDArray[np.uint8]
    segments: tuple[MeasuredSegment, ...]
    judgment: Judgment
    phases: tuple[SeriesPhase, ...] = ()
    comparison: Comparison | None = None
    correction: Correction | None = None
    evidence: Evidence | None = None


def find(
    image: MetaTensor,
    pred: MetaTensor,
    numbers: Numbers,
    *,
    elsewhere: bool = False,
    gaps: Levels = (),
    calibration: Calibration | str = NOT_CALIBRATED,
) -> Findings:
    """Keeps plausible kidneys and tumors, divides them into segments and measures them.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm.
        pred: (1, X, Y, Z) uint8 on its grid: 0 background, 1 kidney, 2 tumor, 3 cyst.
        numbers: Of the method: its limits, and how it tells left from right.
        elsewhere: Whether the header says that another part of the body was scanned.
        gaps: Where slices are missing.
        calibration: Of the method; or why there is none.
    """
    judged = judge(image, pred, numbers.plausibility, elsewhere=elsewhere)
    findings = describe(image, judged.pred, numbers.sides, judged.judgment, gaps)
    evidence, affine = evidence_of(pred), np.asarray(image.affine, dtype=np.float64)
    segments = add_confidence(
        findings.segmented,
        affine,
        findings.segments,
        evidence,
        calibration,
        numbers.review,
        judged.doubts,
    )
    review = (*findings.judgment.review, *sentences_for_review(segments, judged.doubts))
    judgment = replace(findings.judgment, review=review)
    return replace(findings, segments=tuple(segments), judgment=judgment, evidence=evidence)


def describe(
    image: MetaTensor, pred: MetaTensor, sides: Sides, judgment: Judgment, gaps: Levels = ()
) -> Findings:
    """Divides and measures labels.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm.
        pred: (1, X, Y, Z) uint8 on its grid, as `find` takes it.
        sides: How the method tells left from right.
        judgment: What is said of them.
        gaps: Where slices are missing.
    """
    return describe_segments(image, *split_segments(pred, image, sides), judgment, gaps)


def describe_segments(
    image: MetaTensor,
    segmented: npt.NDArray[np.uint8],
    found: Sequence[Segment],
    judgment: Judgment,
    gaps: Levels = (),
) -> Findings:
    """Measures segments.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm.
        segmented: Segment numbers (X, Y, Z) on its grid.
        found: The segments in the order of their numbers.
        judgment: What is said of them.
        gaps: Where slices are missing.
    """
    affine = np.asarray(image.affine, dtype=np.float64)
    segments = add_nephrometry(segmented, affine, measure(image, segmented, found), gaps)
    if (cut := cut_off(segments)) is not None:
        judgment = replace(judgment, review=(*judgment.review, cut))
    return Findings(segmented, tuple(segments), judgment)
