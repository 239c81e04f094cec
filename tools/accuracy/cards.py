"""Writes what `python -m tools accuracy` measured into the bundles' model cards and metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from renalseg.evaluation.bootstrap import mean_of
from renalseg.inference.metadata import METADATA_FILE, TUMOR_METRIC, read_metadata, tumor_metric
from renalseg.runtime.checksums import renew_manifest
from renalseg.settings import ENSEMBLE
from tools.accuracy.report import estimate, found, number
from tools.markdown import check_marks, put_between, table

MARK = "results"

Content = Mapping[str, Any]


def check_cards(bundles: Path) -> None:
    """Refuses model cards without a place for results before an hour is spent on measuring.

    Raises:
        ConfigError: As `write_cards`.
    """
    for card in bundles.glob("*/docs/README.md"):
        check_marks(card, MARK)


def write_cards(content: Content, bundles: Path) -> list[Path]:
    """Writes the results of each bundle into its docs/README.md and configs/metadata.json.

    Args:
        content: Of accuracy.json.
        bundles: Folder with the bundles that were measured.

    Returns:
        The cards.

    Raises:
        ConfigError: A card has no place for its results.
    """
    chains = {
        tuple(method["bundles"]): method["suites"]
        for method in content["methods"]
        if ENSEMBLE not in method["method"]  # of several tumor bundles, the card of none
    }
    cards = []
    for name in sorted({bundle for first, *_, last in chains for bundle in (first, last)}):
        if name.startswith("kidney"):
            text, metrics = _localizer([s for (first, *_), s in chains.items() if name == first])
        else:
            own = {tuple(before): s for (*before, last), s in chains.items() if name == last}
            text, metrics = _tumor(own)
        card = bundles / name / "docs" / "README.md"
        put_between(card, MARK, text)
        _put_metrics(bundles / name, metrics)
        cards.append(card)
    return cards


def _put_metrics(bundle: Path, metrics: Mapping[str, float | None]) -> None:
    metadata = read_metadata(bundle)
    metadata["eval_metrics"] = {
        name: round(value, 4) for name, value in metrics.items() if value is not None
    }
    (bundle / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    renew_manifest(bundle)


def _localizer(chains: Sequence[Content]) -> tuple[str, dict[str, float | None]]:
    """Every method measures its localizer; the first one is used."""
    suites = chains[0]
    rows, metrics = [], {}
    for row in suites.get("real_ct", {}).get("cases", ()):
        rows.append((row["case"], number(row["localizer_dice"], 3)))
        metrics[f"kidney_dice_{_slug(row['case'])}"] = row["localizer_dice"]
    if "synthetic" in suites:
        cases, summary = suites["synthetic"]["cases"], suites["synthetic"]["summary"]
        mean = summary["localizer_dice"]
        values = [row["localizer_dice"] for row in cases]
        rows.append((f"{len(cases)} synthetic CTs, mean", estimate(mean, 3)))
        rows += [
            (f"of them {phase.replace('_', '-')} ({count})", value)
            for phase, count, value in _by_phase(cases)
        ]
        rows.append(("least of them", number(min(values), 3)))
        metrics["kidney_dice_synthetic"] = mean["value"]
    return "\n".join(table(("CT", "kidney Dice (with tumor)"), rows, slice(1, 2))), metrics


def _by_phase(cases: Sequence[Content]) -> Iterable[tuple[str, int, str]]:
    for phase in sorted({row["phase"] for row in cases}):
        values = [row["localizer_dice"] for row in cases if row["phase"] == phase]
        yield phase, len(values), number(mean_of(values).value, 3)


def _tumor(partners: Mapping[tuple[str, ...], Content]) -> tuple[str, dict[str, float | None]]:
    """One column for each localizer, with the refiner if there is one."""
    lines: dict[str, list[str]] = {}
    metrics: dict[str, float | None] = {}
    for before, suites in partners.items():
        cells, measured = _tumor_column(suites)
        for name, cell in cells.items():
            lines.setdefault(name, []).append(cell)
        metrics |= {tumor_metric(before, metric): value for metric, value in measured.items()}
    rows = [(name, *cells) for name, cells in lines.items() if len(cells) == len(partners)]
    heads = (f"after {' and '.join(before)}" for before in partners)
    parts = ["\n".join(table(("", *heads), rows, slice(1, None)))]
    slices = next((s["slices"]["summary"] for s in partners.values() if "slices" in s), None)
    if slices is not None:
        parts.append(_slices(slices))
        metrics["tumor_dice_real_slices"] = slices["mean"]["dice"]
    return "\n\n".join(parts), metrics


def _tumor_column(suites: Content) -> tuple[dict[str, str], dict[str, float | None]]:
    cells: dict[str, str] = {}
    metrics: dict[str, float | None] = {}
    for row in suites.get("real_ct", {}).get("cases", ()):
        case = row["case"]
        cells[f"{case}: kidney Dice (with tumor)"] = number(row["kits19_kidney_dice"], 3)
        false = f"{row['false_positives']:.0f}, {number(row['false_positives_ml'], 1)} ml"
        cells[f"{case}: false tumors"] = false
        metrics[f"kidney_dice_{_slug(case)}"] = row["kits19_kidney_dice"]
    if "synthetic" in suites:
        summary = suites["synthetic"]["summary"]
        count = summary["cases"] - summary["tumor_free"]
        cells[f"{summary['cases']} synthetic CTs: kidney Dice"] = estimate(
            summary["kits19"]["kidney"], 3
        )
        cells[f"tumor Dice of the {count} with tumors"] = estimate(summary["tumor_dice"], 3)
        for name, part in summary["by_contrast"].items():
            cells[f"of them {name} ({part['scans']})"] = estimate(part["tumor_dice"], 3)
        for part in (summary["over_2_cm"], *summary["by_size"]):
            cells[f"tumors found, {part['name']}"] = found(part)
        cells["false tumors per scan"] = estimate(summary["false_positives"])
        cells[f"the same in the {summary['tumor_free']} without tumor, with cysts"] = estimate(
            summary["tumor_free_false_positives"]
        )
        failed = [f["case"] for f in summary["failures"]]
        cells["Dice below 0.1"] = ", ".join(sorted(set(failed))) or "none"
        metrics[TUMOR_METRIC] = summary["tumor_dice"]["value"]
        metrics["kidney_dice_synthetic"] = summary["kits19"]["kidney"]["value"]
    return cells, metrics


def _slices(summary: Content) -> str:
    mean, patients = summary["mean"], summary["mean_of_patients"]
    return (
        f"On {summary['slices']} real KiTS19 slices of {summary['patients']} patients, kidney mask "
        f"given, HU clipped to 0 to 255: tumor Dice {number(mean['dice'], 3)} on average, median "
        f"{number(summary['median_dice'], 3)}, sensitivity {number(mean['sensitivity'])}, "
        f"precision {number(mean['precision'])}; {summary['missed']} missed. Mean of the patients "
        f"{estimate(patients['dice'])}."
    )


def _slug(case: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in case.lower()).split())
