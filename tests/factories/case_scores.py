"""Scores of made-up cases, for what is done with many of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap

from renalseg.evaluation.case_score import CaseScore, Volume
from renalseg.evaluation.lesions import Detections, Lesion
from renalseg.evaluation.overlap import KIDNEY_AND_MASSES, KITS23, TUMORS


def make_score(
    case: str = "a",
    kidney: float = 0.9,
    tumor: float = 0.6,
    tumor_ml: tuple[float, float] = (12.0, 10.0),
    lesions: Sequence[tuple[float, float]] = ((30.0, 0.5),),
    false_positives: int = 0,
) -> CaseScore:
    """A case.

    Args:
        case: Name.
        kidney: Dice.
        tumor: Dice, of KiTS19; NaN is 1 of KiTS23.
        tumor_ml: Predicted and labeled volume.
        lesions: Diameter in mm and intersection over union of each.
        false_positives: How many, of 1 ml each.
    """
    hierarchical = {
        region.name: kidney if region is KIDNEY_AND_MASSES else (1.0 if tumor != tumor else tumor)
        for region in KITS23
    }
    return CaseScore(
        case=case,
        kits19={"kidney": kidney, "tumor": tumor, "composite": (kidney + tumor) / 2},
        dice=hierarchical,
        surface_dice={name: value / 2 for name, value in hierarchical.items()},
        volumes={KIDNEY_AND_MASSES.name: Volume(300.0, 310.0), TUMORS.name: Volume(*tumor_ml)},
        tumors=Detections(
            tuple(starmap(lambda mm, iou: Lesion(mm, 10.0, iou), lesions)),
            (1.0,) * false_positives,
        ),
    )


def tumor_free(case: str = "free", false_positives: int = 0) -> CaseScore:
    """A case without a labeled tumor."""
    tumor = 0.0 if false_positives else float("nan")
    volumes = (float(false_positives), 0.0)
    return make_score(case, 0.95, tumor, volumes, (), false_positives)
