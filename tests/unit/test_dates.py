from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from renalseg.dicom.read import dates
from renalseg.dicom.read.dates import days_between, known_days


def header(**attributes: str) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


EARLY = header(StudyDate="20240228", AcquisitionDate="20240301")
LATE = header(StudyDate="20250301", AcquisitionDate="20250301")


def test_dates_of_acquisition_count_before_those_of_studies() -> None:
    assert days_between(EARLY, LATE) == (365, [])
    assert days_between(header(StudyDate="20240228"), LATE) == (367, [])
    assert days_between(header(StudyDate="20240301", AcquisitionDate=""), LATE) == (365, [])


@pytest.mark.parametrize("given", ["", "19000101", "20241399", "ANON"])
def test_a_date_that_is_none_gives_no_days(given: str) -> None:
    made = Dataset()
    made.add_new("StudyDate", "LO", given)  # as damaged files have it
    assert days_between(made, LATE) == (None, [dates.MISSING])


def test_equal_dates_give_no_days() -> None:
    assert days_between(LATE, LATE) == (None, [dates.EQUAL])
    assert known_days(0) == (None, [dates.EQUAL])


def test_dates_that_run_backward_are_said() -> None:
    assert days_between(LATE, EARLY) == (-365, [dates.BACKWARD])
    assert known_days(20) == (20, [dates.SHORT])


def test_dates_of_a_deidentified_study_are_doubted() -> None:
    hidden = header(StudyDate="20250301", PatientIdentityRemoved="YES")
    assert days_between(EARLY, hidden) == (367, [dates.DEIDENTIFIED])
    hidden.LongitudinalTemporalInformationModified = "UNMODIFIED"
    assert days_between(EARLY, hidden) == (367, [])
    hidden.LongitudinalTemporalInformationModified = "MODIFIED"
    assert days_between(EARLY, hidden) == (367, [dates.MODIFIED])
    hidden.LongitudinalTemporalInformationModified = "REMOVED"
    assert days_between(EARLY, hidden) == (None, [dates.REMOVED])
