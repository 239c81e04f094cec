"""The days between two studies, from their headers, and what may be wrong with them."""

from __future__ import annotations

from datetime import date, datetime

from pydicom.dataset import Dataset

_EARLIEST = 1972  # before it there was no CT
_SHORT_DAYS = 30
MISSING = "A date is missing, so there is no change a year."
EQUAL = "Both studies have the same date, so there is no change a year."
REMOVED = "The dates were removed from a study, so there is no change a year."
MODIFIED = (
    "Dates were modified when a study was de-identified: the time between is right only if both "
    "were shifted alike."
)
DEIDENTIFIED = "A study is de-identified, so its date may not be the true one."
BACKWARD = "The study that was given as the earlier one has the later date."
SHORT = f"The studies are less than {_SHORT_DAYS} days apart: a change a year is extrapolated far."


def days_between(prior: Dataset, now: Dataset) -> tuple[int | None, list[str]]:
    """Counts the days between two studies.

    AcquisitionDate (0008,0022) counts where both have it, else StudyDate (0008,0020).

    Args:
        prior: Header of the earlier one.
        now: Header of the later one.

    Returns:
        The days, negative if the dates run backward; None where a date is missing or was removed,
        or both are equal. And what to know about them.
    """
    modified = [
        str(each.get("LongitudinalTemporalInformationModified") or "") for each in (prior, now)
    ]
    if "REMOVED" in modified:
        return None, [REMOVED]
    counts = (_days(prior, now, kind) for kind in ("Acquisition", "Study"))
    days = next((count for count in counts if count is not None), None)
    if days is None:
        return None, [MISSING]
    said = []
    if "MODIFIED" in modified:
        said.append(MODIFIED)
    elif any(
        str(each.get("PatientIdentityRemoved") or "") == "YES" and text != "UNMODIFIED"
        for each, text in zip((prior, now), modified, strict=True)
    ):
        said.append(DEIDENTIFIED)
    known, remarks = known_days(days)
    return known, [*said, *remarks]


def known_days(days: int) -> tuple[int | None, list[str]]:
    """What a number of days is worth, as `days_between` gives it."""
    if days == 0:
        return None, [EQUAL]
    short = [SHORT] if abs(days) < _SHORT_DAYS else []
    return days, [*([BACKWARD] if days < 0 else []), *short]


def _days(prior: Dataset, now: Dataset, kind: str) -> int | None:
    first, second = (_date(header, f"{kind}Date") for header in (prior, now))
    return None if first is None or second is None else (second - first).days


def _date(header: Dataset, keyword: str) -> date | None:
    text = str(header.get(keyword) or "").replace(".", "")
    try:
        found = datetime.strptime(text[:8], "%Y%m%d").date()
    except ValueError:
        return None
    return found if found.year >= _EARLIEST else None
