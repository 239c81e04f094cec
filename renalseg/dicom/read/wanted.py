"""Finds the requested series of a study by UID, number or description."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from renalseg.dicom.read.plan import Candidate
from renalseg.errors import InputError, plural, some_of
from renalseg.runtime.harmless import one_line

_MOST_LISTED = 20


def find_wanted(candidates: Sequence[Candidate], wanted: str) -> str:
    """Find the requested series.

    Args:
        candidates: All series of a study, with their parts.
        wanted: A SeriesInstanceUID, else a SeriesNumber, else a SeriesDescription, whole or a part
            of it, in capitals or not. The first of these that any series has decides.

    Returns:
        Its SeriesInstanceUID.

    Raises:
        InputError: If no series or several have it; the message lists what there is.
    """
    series: dict[str, list[Candidate]] = {}
    for candidate in sorted(candidates, key=lambda each: (_number(each) or 0, each.series)):
        series.setdefault(candidate.series, []).append(candidate)
    sought = _plain(wanted)
    ways: tuple[Callable[[str], bool], ...] = (
        lambda uid: uid == wanted.strip(),
        lambda uid: sought.isdecimal() and _number(series[uid][0]) == int(sought),
        lambda uid: _description(series[uid][0]) == sought,
        lambda uid: bool(sought) and sought in _description(series[uid][0]),
    )
    for way in ways:
        found = [uid for uid in series if way(uid)]
        if len(found) == 1:
            return found[0]
        if found:
            there = some_of((_name(series[uid]) for uid in found), _MOST_LISTED)
            raise InputError(
                f"expected one series that matches {wanted!r}, found {len(found)}: {there}"
            )
    there = some_of(map(_name, series.values()), _MOST_LISTED)
    raise InputError(
        f"expected a series with the UID, number or description {wanted!r}, found: {there}"
    )


def _name(parts: Sequence[Candidate]) -> str:
    first = parts[0].instances[0]
    slices = plural(sum(len(part.instances) for part in parts), "slice")
    number, description = first.optional("SeriesNumber"), first.optional("SeriesDescription")
    return one_line(f"{number or '-'} {description!r}, {slices}, {parts[0].series}")


def _number(candidate: Candidate) -> int | None:
    text = candidate.instances[0].optional("SeriesNumber")
    return int(text) if text.isdecimal() else None


def _description(candidate: Candidate) -> str:
    return _plain(candidate.instances[0].optional("SeriesDescription"))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
