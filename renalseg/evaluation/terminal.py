"""Scores as tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from renalseg.errors import some_of
from renalseg.evaluation.bootstrap import Difference, Estimate
from renalseg.evaluation.case_score import CaseScore
from renalseg.evaluation.compare import Comparison
from renalseg.evaluation.pairs import LeftOut
from renalseg.evaluation.summary import FAILED_BELOW, Agreement, Summary

_MOST = 20  # cases that are listed
_WIDTH = 100  # columns, where the output goes to a file


def print_summary(
    summary: Summary, only: CaseScore | None = None, *, method: str | None = None
) -> None:
    """Prints a summary.

    Args:
        summary: Of all cases.
        only: The case, if there is but one.
        method: Name of the method, if there are several.
    """
    if method is not None:
        _console().rule(escape(method))
    _console().print(
        _overlaps(summary, only), _volumes(summary), _lesions(summary), _notes(summary)
    )


def print_worst(scores: Sequence[CaseScore]) -> None:
    """Prints the cases with the lowest scores, the lowest first."""
    table = _table("Lowest scores", "case", "kidney Dice", "tumor Dice", "tumors found", "false")
    for score in scores:
        lesions = score.tumors.lesions
        table.add_row(
            escape(score.case),
            *(number(score.kits19[name]) for name in ("kidney", "tumor")),
            f"{sum(lesion.found for lesion in lesions)} of {len(lesions)}",
            str(len(score.tumors.false_positives_ml)),
        )
    _console().print(table)


def print_left_out(left_out: Sequence[LeftOut]) -> None:
    """Prints which labels have no score, and why."""
    missing = [each for each in left_out if each.labeled]
    if missing:
        said = some_of((f"{each.case}: {each.reason}" for each in missing), _MOST, "\n  ")
        text = f"Not scored, and in no mean: {len(missing)}\n  {said}"
        _console().print(text, markup=False, soft_wrap=True)


def print_comparison(comparison: Comparison) -> None:
    """Prints how far two methods differ."""
    first, second = map(escape, (comparison.first, comparison.second))
    table = _table(
        f"{second} minus {first}, {len(comparison.pairs)} cases, paired bootstrap",
        "", first, second, "difference (95 % interval)", "p", "cases",
    )  # fmt: skip
    for name, difference in comparison.differences.items():
        table.add_row(name, *difference_cells(difference))
    _console().print(table)
    if comparison.only:
        names = some_of(comparison.only, joint=", ")
        _console().print(f"Scored by one alone, not counted: {names}", markup=False)


def difference_cells(found: Difference) -> tuple[str, str, str, str, str]:
    """Formats a difference: both values, the difference with its interval, p, cases."""
    gain = "-" if math.isnan(found.value) else f"{found.value:+.3f}"
    if not math.isnan(found.low):
        gain += f" ({found.low:+.3f} to {found.high:+.3f})"
    p = "-" if math.isnan(found.p) else f"{found.p:.3f}"
    return number(found.first), number(found.second), gain, p, str(found.cases)


def number(value: float) -> str:
    """Formats a score with three digits; "-" where it is not defined."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    return console


def text_of(estimate: Estimate, digits: int = 3) -> str:
    """Formats an estimate as "0.812 (0.774 to 0.845)", or "-" without cases."""
    if math.isnan(estimate.value):
        return "-"
    value = f"{estimate.value:.{digits}f}"
    if math.isnan(estimate.low):
        return value
    return f"{value} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def _overlaps(summary: Summary, only: CaseScore | None) -> Table:
    cases = f"{summary.cases} cases, mean (95 % interval)" if only is None else escape(only.case)
    table = _table(f"Overlap: {cases}", "region", "Dice", "surface Dice", "cases")
    for name, estimate in summary.kits19.items():
        table.add_row(f"KiTS19 {name}", text_of(estimate), "", str(estimate.cases))
    table.add_section()
    for name, estimate in summary.dice.items():
        surface = text_of(summary.surface_dice[name])
        table.add_row(f"KiTS23 {name}", text_of(estimate), surface, str(estimate.cases))
    return table


def _volumes(summary: Summary) -> Table:
    headings = ("bias", "limits of agreement", "mean |error|", "median |error|", "cases")
    table = _table("Volume: predicted minus labeled", "region", *headings)
    for name, found in summary.volumes.items():
        table.add_row(name, *_agreement(found), str(found.cases))
    return table


def _agreement(found: Agreement) -> tuple[str, str, str, str]:
    if not found.cases:
        return "-", "-", "-", "-"
    limits = "-" if math.isnan(found.low_ml) else f"{found.low_ml:+.1f} to {found.high_ml:+.1f} ml"
    bias, absolute = f"{found.bias_ml:+.1f} ml", f"{found.mean_absolute_ml:.1f} ml"
    return bias, limits, absolute, f"{found.median_absolute_percent:.0f} %"


def _lesions(summary: Summary) -> Table:
    title = "Tumors found, by longest diameter"
    table = _table(title, "size", "labeled", "found", "sensitivity")
    for part in (*summary.by_size, summary.lesions):
        if part is summary.lesions:
            table.add_section()
        sensitivity = text_of(part.sensitivity, 2)
        table.add_row(part.name, str(part.lesions), str(part.found), sensitivity)
    return table


def _notes(summary: Summary) -> Group:
    lines = [f"False positives per scan: {text_of(summary.false_positives, 2)}"]
    if summary.tumor_free:
        rate = text_of(summary.tumor_free_false_positives, 2)
        lines.append(f"  in the {summary.tumor_free} scans without a labeled tumor: {rate}")
    if summary.failures:
        lines.append(f"Failures (Dice below {FAILED_BELOW}):")
        lines += [f"  {case}: {region} {dice:.3f}" for case, region, dice in summary.failures]
    return Group(*lines)


def _table(title: str, *headings: str) -> Table:
    table = Table(headings[0], title=title, title_justify="left")
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table
