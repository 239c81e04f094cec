"""What a report says of the study, the series and the method."""

from __future__ import annotations

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from renalseg import __version__
from renalseg.dicom.derived import PRODUCT
from renalseg.dicom.read import CTSeries
from renalseg.geometry import spacing_of
from renalseg.harmless import one_line
from renalseg.report.view import WINDOW, View
from renalseg.settings import Settings


def study_facts(series: CTSeries) -> dict[str, str]:
    """Give names and values for the head of a report; what the source lacks stays out."""
    header = series.headers[0]
    affine = np.asarray(series.image.affine, dtype=np.float64)
    across, down, between = spacing_of(affine)
    with disable_value_validation():
        name = header.get("PatientName")
        name = name[0] if isinstance(name, MultiValue) else name  # one with a backslash
        facts = {
            "Patient": name.family_comma_given() if name else "",
            "Patient ID": _value(header, "PatientID"),
            "Birth date": _date(_value(header, "PatientBirthDate")),
            "Sex": _value(header, "PatientSex"),
            "Study date": _date(_value(header, "StudyDate")),
            "Study": _value(header, "StudyDescription"),
            "Accession": _value(header, "AccessionNumber"),
            "Series": _join(_value(header, "SeriesNumber"), _value(header, "SeriesDescription")),
        }
    facts["Slices"] = f"{len(series.headers)}, {between:.2f} mm apart"
    facts["Pixels"] = f"{across:.2f} x {down:.2f} mm"
    return {fact: one_line(value) for fact, value in facts.items() if value}


def method_fact(series: CTSeries, settings: Settings) -> str:
    """Say what found the kidneys and the tumors, and in which input."""
    *kidneys, tumor = settings.stages
    return (
        f"{PRODUCT} {__version__} with the networks {', '.join(kidneys)} (kidneys) and "
        f"{tumor} (tumors), on input {series.input_hash[:16]}. A tumor is what looks like "
        "a mass: CT alone proves no more."
    )


def captions(series: CTSeries, view: View) -> tuple[str, str]:
    """Say what the axial and the coronal picture show."""
    low, high = WINDOW
    window = f"window center {(low + high) / 2:.0f}, width {high - low:.0f} HU"
    affine = np.asarray(series.image.affine, dtype=np.float64)
    axial = "Axial"
    if int(np.argmax(np.abs(affine[2, :3]))) == 2:  # the source is axial, too
        shown = np.flatnonzero(series.planes.levels == view.index[2])
        for header in (series.headers[int(number)] for number in shown[:1]):
            axial += f", image {one_line(_value(header, 'InstanceNumber')) or '?'}"
    return f"{axial}: {window}", f"Coronal through the same place: {window}"


def _value(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip()


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
