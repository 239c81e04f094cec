"""What changed since an earlier study, for a radiologist's report, in English and German.

One template for both languages: it says what was measured beside its error, and names no diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from renalseg.findings.followup.change import YEAR, Change, Measure
from renalseg.findings.followup.comparison import Comparison, Lesion
from renalseg.labels import CYST, TUMOR, Side

_MOST = 3  # lesions that are told one by one
_MONTH = YEAR / 12


@dataclass(frozen=True)
class _Words:
    """The words of a language; texts in braces are filled in."""

    unknown: str
    earlier: str
    later: str
    units: tuple[tuple[str, str], ...]  # one day, days; months; years
    kinds: Mapping[int, str]
    sides: Mapping[Side, str]
    changed: str
    volume: str
    doubling: str
    same: str
    within: str
    cut: str
    none: str
    more: tuple[str, str]
    new: str
    gone: str
    listed: str
    open: str
    point: str = "."

    def number(self, value: float) -> str:
        """A number with one decimal."""
        return f"{value:.1f}".replace(".", self.point)

    def time(self, days: int) -> str:
        """A number of days as people say it."""
        days = abs(days)
        count, unit = f"{days}", self.units[0]
        if days >= 2 * YEAR:
            count, unit = self.number(days / YEAR), self.units[2]
        elif days >= 3 * _MONTH:
            count, unit = f"{days / _MONTH:.0f}", self.units[1]
        return f"{count} {unit[count != '1']}"


_LANGUAGES = {
    "en": _Words(
        unknown="Compared with an earlier study",
        earlier="Compared with the study {} earlier",
        later="Compared with the study {} later",
        units=(("day", "days"), ("month", "months"), ("year", "years")),
        kinds={TUMOR: "solid mass", CYST: "cyst"},
        sides={Side.LEFT: "the left kidney", Side.RIGHT: "the right kidney"},
        changed="{} of {} from {} to {} cm",
        volume="volume {} to {} ml",
        doubling="doubling time {}",
        same="{} of {} unchanged within the error ({} and {} cm)",
        within="within the error",
        cut="{} of {} cut by the scan, change not assessed",
        none="no lesion in both studies",
        more=("{} more lesion", "{} more lesions"),
        new="New",
        gone="No longer delineated",
        listed="{} of {}, {} cm",
        open="Not compared: {}.",
    ),
    "de": _Words(
        unknown="Im Vergleich mit einer früheren Untersuchung",
        earlier="Im Vergleich mit der Untersuchung {} zuvor",
        later="Im Vergleich mit der Untersuchung {} danach",
        units=(("Tag", "Tage"), ("Monat", "Monate"), ("Jahr", "Jahre")),
        kinds={TUMOR: "solide Raumforderung", CYST: "Zyste"},
        sides={Side.LEFT: "linke Niere", Side.RIGHT: "rechte Niere"},
        changed="{} ({}) von {} auf {} cm",
        volume="Volumen {} auf {} ml",
        doubling="Verdopplungszeit {}",
        same="{} ({}) im Rahmen des Messfehlers unverändert ({} und {} cm)",
        within="im Rahmen des Messfehlers",
        cut="{} ({}) angeschnitten, Änderung nicht beurteilt",
        none="keine Läsion in beiden Untersuchungen",
        more=("{} weitere Läsion", "{} weitere Läsionen"),
        new="Neu",
        gone="Nicht mehr abgrenzbar",
        listed="{} ({}), {} cm",
        open="Nicht verglichen: {}.",
        point=",",
    ),
}


def followup_text(comparison: Comparison) -> Mapping[str, str]:
    """Writes what changed by language: "en" and "de".

    Args:
        comparison: What changed.
    """
    return {name: " ".join(_said(comparison, words)) for name, words in _LANGUAGES.items()}


def _said(comparison: Comparison, words: _Words) -> list[str]:
    days = comparison.days
    since = words.unknown
    if days is not None:
        since = (words.later if days < 0 else words.earlier).format(words.time(days))
    order = sorted(comparison.lesions, key=lambda each: (not each.certain, -each.volume_ml.now))
    told = [_change(change, words) for change in order[:_MOST]] or [words.none]
    rest = len(order) - _MOST
    if rest > 0:
        told.append(words.more[rest > 1].format(rest))
    said = [f"{since}: {'; '.join(told)}."]
    said += _listed(words.new, comparison.new, words) + _listed(words.gone, comparison.gone, words)
    left = [words.sides[side] for side, move in comparison.sides.items() if move.reason is not None]
    return said + ([words.open.format(", ".join(left))] if left else [])


def _change(change: Change, words: _Words) -> str:
    name = words.kinds[change.kind], words.sides[change.side]
    size = [words.number(mm / 10) for mm in (change.longest_mm.prior, change.longest_mm.now)]
    if change.lower_bound:
        return words.cut.format(*name)
    if not change.certain:
        return words.same.format(*name, *size)
    text = words.changed.format(*name, *size) + _error(change.longest_mm, words)
    ml = [words.number(value) for value in (change.volume_ml.prior, change.volume_ml.now)]
    more = [words.volume.format(*ml) + _error(change.volume_ml, words)]
    if change.doubling_days is not None:
        more.append(words.doubling.format(words.time(round(change.doubling_days))))
    return f"{text} ({'; '.join(more)})"


def _error(measure: Measure, words: _Words) -> str:
    return f", {words.within}" if measure.within_error else ""


def _listed(title: str, lesions: Sequence[Lesion], words: _Words) -> list[str]:
    names = (
        words.listed.format(
            words.kinds[each.kind], words.sides[each.side], words.number(each.longest_mm / 10)
        )
        for each in lesions
    )
    return [f"{title}: {'; '.join(names)}."] if lesions else []
