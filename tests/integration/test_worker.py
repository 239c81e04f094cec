"""The worker and what else the project says."""

from __future__ import annotations

from renalseg.dicom.seg import PRODUCT, SERIES_NUMBER
from renalseg.worker.rules import OWN_MANUFACTURER, OWN_SERIES_NUMBER


def test_own_results_are_known_by_what_the_application_writes() -> None:
    assert (OWN_MANUFACTURER, OWN_SERIES_NUMBER) == (PRODUCT, SERIES_NUMBER)
