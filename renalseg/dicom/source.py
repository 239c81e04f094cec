"""Headers of the source series, completed so that objects can be derived from them."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Sequence
from datetime import datetime

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from renalseg.dicom.uids import derive_uid

# Type 2 attributes of patient and study: must be present in a derived object, may be empty.
_TYPE_2 = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "Manufacturer",
)
_SEXES = ("M", "F", "O", "")


def complete_headers(headers: Sequence[Dataset]) -> list[Dataset]:
    """Copy source headers and fill what stripping took away.

    Missing type 2 attributes become empty, malformed dates and sex codes too. A missing frame of
    reference gets a UID that derives from the SeriesInstanceUID, the same at every run.

    Args:
        headers: One header per slice; not changed.

    Returns:
        The completed copies.
    """
    with disable_value_validation():
        copies = [copy.deepcopy(header) for header in headers]
        for header in copies:
            _complete(header)
    return copies


def acquisition_time(header: Dataset) -> datetime:
    """Say when a slice was made, by the most telling date it has; 1970-01-01 if it has none."""
    with disable_value_validation():
        for kind in ("Acquisition", "Content", "Series", "Study"):
            date = _date(header.get(f"{kind}Date"))
            if date is not None:
                time = _time(header.get(f"{kind}Time"))
                return datetime.combine(date, dt.time() if time is None else time)
    return datetime(1970, 1, 1)


def _complete(header: Dataset) -> None:
    for keyword in _TYPE_2:
        if header.get(keyword) is None:
            setattr(header, keyword, "")
    for keyword in ("PatientBirthDate", "StudyDate"):
        if _date(header.get(keyword)) is None:
            setattr(header, keyword, "")
    if _time(header.StudyTime) is None:
        header.StudyTime = ""
    if header.PatientSex not in _SEXES:
        header.PatientSex = ""
    if not header.get("FrameOfReferenceUID"):
        header.FrameOfReferenceUID = derive_uid("frame of reference", header.SeriesInstanceUID)
    if "PositionReferenceIndicator" not in header:
        header.PositionReferenceIndicator = ""


def _date(value: object) -> DA | None:
    try:
        return DA(str(value)) if value else None
    except ValueError:
        return None


def _time(value: object) -> TM | None:
    try:
        return TM(str(value)) if value else None
    except ValueError:
        return None
