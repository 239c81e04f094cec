"""What changed between two studies, in sentences that say what was measured and no diagnosis."""

from __future__ import annotations

from collections.abc import Sequence

from renalseg.errors import plural
from renalseg.findings.followup.change import YEAR, Change, Measure
from renalseg.findings.followup.comparison import Comparison, Lesion

_MOST = 3  # lesions that are told one by one
_MONTHS = 12.0


def compared(comparison: Comparison | None) -> str | None:
    """Says what changed, in English; None without a comparison.

    Args:
        comparison: What changed.
    """
    if comparison is None:
        return None
    days = comparison.days
    when = "later" if days is not None and days < 0 else "earlier"
    study = "an earlier study" if days is None else f"the study {time_text(days)} {when}"
    said = [f"Compared with {study}: {_lesions(comparison)}."]
    said += _listed("New", comparison.new) + _listed("No longer found", comparison.gone)
    open_sides = [side for side, moved in comparison.sides.items() if moved.reason is not None]
    said += [
        f"The {side.value} side was not compared: {comparison.sides[side].reason}."
        for side in open_sides
    ]
    return " ".join(said)


def time_text(days: int) -> str:
    """Write a number of days as people say it."""
    days = abs(days)
    if days < 3 * YEAR / _MONTHS:
        return plural(days, "day")
    if days < 2 * YEAR:
        return f"{days / YEAR * _MONTHS:.0f} months"
    return f"{days / YEAR:.1f} years"


def change_text(change: Change) -> str:
    """Write what became of a structure: diameter, volume, a year, doubling time."""
    if change.lower_bound:
        return "cut by the scan, so its change is not known"
    mm, ml = change.longest_mm, change.volume_ml
    if not change.certain:
        return f"unchanged within the error ({_of(mm, 0)} mm, {_of(ml, 1)} ml)"
    rates = [
        f"{each.per_year:+.1f} {unit}"
        for each, unit in ((mm, "mm"), (ml, "ml"))
        if each.per_year is not None and not each.within_error
    ]
    text = f"{_part(mm, 'mm', 0)} and {_part(ml, 'ml', 1)}"
    text += f"; {' and '.join(rates)} a year" if rates else ""
    if change.doubling_days is not None:
        text += f"; doubling time {time_text(round(change.doubling_days))}"
    return text


def _lesions(comparison: Comparison) -> str:
    if not comparison.lesions:
        return "no lesion is in both"
    order = sorted(comparison.lesions, key=lambda each: (not each.certain, -each.volume_ml.now))
    told = [f"{_name(change.label)} {change_text(change)}" for change in order[:_MOST]]
    rest = len(order) - len(told)
    return "; ".join(told) + (f"; {plural(rest, 'more lesion')} in the table" if rest else "")


def _listed(title: str, lesions: Sequence[Lesion]) -> list[str]:
    if not lesions:
        return []
    names = ", ".join(f"{_name(each.label)} ({each.longest_mm:.0f} mm)" for each in lesions)
    return [f"{title}: {names}."]


def _part(measure: Measure, unit: str, digits: int) -> str:
    error = ", within the error" if measure.within_error else f" ± {measure.error:.{digits}f}"
    change = round(measure.change, digits) + 0.0  # no -0
    return f"from {_of(measure, digits)} {unit} ({change:+.{digits}f}{error})"


def _of(measure: Measure, digits: int) -> str:
    return f"{measure.prior:.{digits}f} to {measure.now:.{digits}f}"


def _name(label: str) -> str:
    return label[0].lower() + label[1:]
