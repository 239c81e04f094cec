"""What is counted on a whole CT: the localizer's kidneys, and everything that the bundles find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from renalseg.evaluation.bootstrap import mean_of
from renalseg.evaluation.case_score import CaseScore, score_case
from renalseg.evaluation.overlap import dice
from renalseg.evaluation.score_files import row_of, score_from
from renalseg.evaluation.summary import Summary, stratum, summarize
from renalseg.inference.models import Models
from renalseg.synthesis.scanner import Phase
from tools.accuracy.suites.suite import Labeled, Record, Row

_NON_CONTRAST = Phase.NON_CONTRAST.name.lower()
LARGE_MM = 20.0  # larger tumors must be found


def measure_chain(models: Models, name: str, case: Labeled) -> Record:
    """Runs all bundles, one after another, as a run does."""
    kidney = models.localize(case.image)
    localized = dice(kidney.as_tensor(), case.label.as_tensor())
    pred = models.find_tumors(case.image, models.refine(case.image, kidney))
    score = score_case(name, pred, case.label)
    return {"localizer_dice": localized, "facts": dict(case.facts), "score": asdict(score)}


def chain_row(record: Record) -> Row:
    """The line of a case."""
    return {
        **row_of(_score(record)),
        "localizer_dice": record["localizer_dice"],
        **record["facts"],
    }


def summarize_chain(records: Sequence[Record]) -> dict[str, Any]:
    """The summary of `renalseg.evaluation`, with the localizer and the tumors over 2 cm."""
    scores = [_score(record) for record in records]
    summary: Summary = summarize(scores)
    false = [ml for score in scores for ml in score.tumors.false_positives_ml]
    return asdict(summary) | {
        "localizer_dice": asdict(mean_of(record["localizer_dice"] for record in records)),
        **_tumors(scores),
        "by_contrast": _by_contrast(records, scores),
        "false_positives_ml": sum(false),
        "failures": [failure._asdict() for failure in summary.failures],
    }


def _by_contrast(records: Sequence[Record], scores: Sequence[CaseScore]) -> dict[str, Any]:
    """Tumors in scans with and without contrast, where known: many are invisible without."""
    groups: dict[str, list[CaseScore]] = {}
    for record, score in zip(records, scores, strict=True):
        phase = record["facts"].get("phase")
        if phase is not None and score.has_tumor:
            name = "without contrast" if phase == _NON_CONTRAST else "with contrast"
            groups.setdefault(name, []).append(score)
    return {name: {"scans": len(group), **_tumors(group)} for name, group in sorted(groups.items())}


def _tumors(scores: Sequence[CaseScore]) -> dict[str, Any]:
    return {
        # a scan without tumor has no Dice, or 0 for a false positive, which is counted as such
        "tumor_dice": asdict(mean_of(s.kits19["tumor"] for s in scores if s.has_tumor)),
        "over_2_cm": asdict(stratum(scores, "over 2 cm", over_mm=LARGE_MM)),
    }


def _score(record: Record) -> CaseScore:
    return score_from(record["score"])
