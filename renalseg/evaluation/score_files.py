"""The scores as files: a table of cases and a summary."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from renalseg.evaluation.case_score import CaseScore
from renalseg.evaluation.lesions import MIN_IOU, MIN_LESION_MM3
from renalseg.evaluation.overlap import KITS23
from renalseg.evaluation.pairs import LeftOut
from renalseg.evaluation.summary import FAILED_BELOW, Summary
from renalseg.runtime.harmless import csv_cell

CASES_FILE, SUMMARY_FILE = "cases.csv", "summary.json"


def row_of(score: CaseScore) -> dict[str, str | float]:
    """A case as a line of the table; NaN stays, volumes are in ml and diameters in mm."""
    lesions = score.tumors.lesions
    return {
        "case": score.case,
        **{f"kits19_{name}_dice": value for name, value in score.kits19.items()},
        **{f"kits23_{name}_dice": value for name, value in score.dice.items()},
        **{f"kits23_{name}_surface_dice": value for name, value in score.surface_dice.items()},
        **{
            f"{name}_{what}": value
            for name, volume in score.volumes.items()
            for what, value in (
                ("label_ml", volume.label),
                ("pred_ml", volume.pred),
                ("error_ml", volume.error_ml),
                ("error_percent", volume.error_percent),
            )
        },
        "lesions": len(lesions),
        "lesions_found": sum(lesion.found for lesion in lesions),
        "lesion_diameters_mm": " ".join(f"{lesion.diameter_mm:.0f}" for lesion in lesions),
        "false_positives": len(score.tumors.false_positives_ml),
        "false_positives_ml": sum(score.tumors.false_positives_ml),
    }


def score_from(stored: Mapping[str, Any]) -> CaseScore:
    """A score from what `dataclasses.asdict` made of it, and JSON may have kept."""
    return msgspec.convert(stored, CaseScore)


def write_rows(path: Path, rows: Sequence[Mapping[str, str | float]]) -> None:
    """Writes a table as CSV; a NaN is an empty cell, other fractions have four digits."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def to_json(value: object) -> str:
    """JSON of what consists of mappings, sequences and numbers; a NaN is null."""
    return json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"


def summary_content(summary: Summary) -> dict[str, Any]:
    """A summary with the rules that its numbers follow."""
    rules = {
        "surface_dice_tolerance_mm": {region.name: region.tolerance_mm for region in KITS23},
        "lesion_min_iou": MIN_IOU,
        "lesion_min_mm3": MIN_LESION_MM3,
        "failed_below_dice": FAILED_BELOW,
    }
    failures = [failure._asdict() for failure in summary.failures]
    return asdict(summary) | {"failures": failures, "rules": rules}


def write_scores(
    out_dir: Path,
    scores: Iterable[CaseScore],
    summary: Summary,
    left_out: Sequence[LeftOut] = (),
) -> None:
    """Writes cases.csv and summary.json; the folder is made.

    Args:
        out_dir: The folder.
        scores: A line of the table each.
        summary: Of the scores.
        left_out: What has no scores; lines that say why.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str | float]] = [row_of(score) | {"problem": ""} for score in scores]
    rows += [{"case": each.case, "problem": each.reason} for each in left_out]
    write_rows(out_dir / CASES_FILE, rows)
    content = summary_content(summary) | {"left_out": [each._asdict() for each in left_out]}
    (out_dir / SUMMARY_FILE).write_text(to_json(content), encoding="utf-8")


def _cell(value: str | float) -> str | float:
    if not isinstance(value, float):
        return str(csv_cell(value))
    return "" if math.isnan(value) else f"{value:.4f}"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value
