"""A comparison of two studies as comparison.json and comparison.csv."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from renalseg.findings.followup.change import Change, Measure
from renalseg.findings.followup.comparison import EARLIER, LATER, Comparison, Lesion
from renalseg.findings.followup.report_text import followup_text
from renalseg.findings.followup.sentences import compared
from renalseg.labels import LABELS
from renalseg.runtime.harmless import csv_cell

COMPARISON = "comparison"
JSON_FILE, CSV_FILE, PAGE_FILE = (f"{COMPARISON}.{suffix}" for suffix in ("json", "csv", "html"))
_MEASURES = ("prior", "now", "change", "percent", "per_year", "error", "within_error")
COLUMNS = (
    *("status", "segment", "prior_segment", "kind", "prior_kind", "side"),
    *("overlap_percent", "distance_mm"),
    *(f"longest_mm_{name}" for name in _MEASURES),
    *(f"volume_ml_{name}" for name in _MEASURES),
    *("doubling_days", "lower_bound", "error_source", "days"),
)
Row = dict[str, Any]


def write_comparison(folder: Path, comparison: Comparison, now: Mapping[str, Any]) -> None:
    """Writes both files.

    Args:
        folder: Gets them; the caller makes it appear as a whole.
        comparison: What changed.
        now: What names the later study, as `Comparison.prior` does the earlier one.

    Raises:
        OSError: They cannot be written.
    """
    content = {
        "use": "research use only",
        "text": compared(comparison),
        "texts": dict(followup_text(comparison)),
        "now": now,
        **asdict(comparison),
    }
    text = json.dumps(content, indent=2) + "\n"
    (folder / JSON_FILE).write_text(text, encoding="utf-8")
    with (folder / CSV_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for row in rows_of(comparison):
            writer.writerow({name: _cell(value) for name, value in row.items()})


def rows_of(comparison: Comparison) -> Iterator[Row]:
    """Gives a row for each kidney and lesion of either study, by the names of `COLUMNS`."""
    for status, changes in (("kidney", comparison.kidneys), ("both", comparison.lesions)):
        for change in changes:
            yield _changed(status, change, comparison.days)
    lists = {
        "new": comparison.new,
        "gone": comparison.gone,
        "not compared, earlier": comparison.unmatched.get(EARLIER, ()),
        "not compared, later": comparison.unmatched.get(LATER, ()),
    }
    for status, lesions in lists.items():
        before = status in ("gone", "not compared, earlier")
        for lesion in lesions:
            yield {**_lesion(lesion, before=before), "status": status, "days": comparison.days}


def _changed(status: str, change: Change, days: int | None) -> Row:
    names = ("side", "overlap_percent", "distance_mm", "doubling_days", "lower_bound")
    return {
        **{name: getattr(change, name) for name in (*names, "error_source")},
        "status": status,
        "segment": change.label,
        "prior_segment": change.prior_label,
        "kind": LABELS[change.kind].name,
        "prior_kind": LABELS[change.prior_kind].name,
        **_measured("longest_mm", change.longest_mm),
        **_measured("volume_ml", change.volume_ml),
        "days": days,
    }


def _measured(name: str, measure: Measure) -> Row:
    return {f"{name}_{part}": getattr(measure, part) for part in _MEASURES}


def _lesion(lesion: Lesion, *, before: bool) -> Row:
    prefix, when = ("prior_", "prior") if before else ("", "now")
    return {
        f"{prefix}segment": lesion.label,
        f"{prefix}kind": LABELS[lesion.kind].name,
        "side": lesion.side,
        f"longest_mm_{when}": lesion.longest_mm,
        f"volume_ml_{when}": lesion.volume_ml,
    }


def _cell(value: Any) -> Any:
    """1 and 0 for yes and no; nothing for None."""
    if value is None:
        return ""
    return csv_cell(int(value) if isinstance(value, bool) else value)
