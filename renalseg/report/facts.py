"""What a report says of the study, the series and the method."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from renalseg.dicom.read.series import CTSeries
from renalseg.dicom.write.derived import PRODUCT
from renalseg.geometry import spacing_of
from renalseg.intake.ct import CT
from renalseg.volumes.ct import CTVolume


def study_facts(ct: CT) -> dict[str, str]:
    """Give names and values for the head of a report; what the source lacks stays out."""
    return _series_facts(ct) if isinstance(ct, CTSeries) else _volume_facts(ct)


def _volume_facts(volume: CTVolume) -> dict[str, str]:
    across, down, between = spacing_of(np.asarray(volume.image.affine, dtype=np.float64))
    return {
        "Slices": f"{volume.slices}, {between:.2f} mm apart",
        "Pixels": f"{across:.2f} x {down:.2f} mm",
    }


def _series_facts(series: CTSeries) -> dict[str, str]:
    header = series.headers[0]
    with disable_value_validation():
        facts = {
            "Patient": _person(header.get("PatientName")),
            "Patient ID": _value(header, "PatientID"),
            "Birth date": _date(_value(header, "PatientBirthDate")),
            "Sex": _value(header, "PatientSex"),
            "Study date": _date(_value(header, "StudyDate")),
            "Study": _value(header, "StudyDescription"),
            "Accession": _value(header, "AccessionNumber"),
            "Series": _join(_value(header, "SeriesNumber"), _value(header, "SeriesDescription")),
            "Slices": f"{len(series.headers)}, {_steps(series)} mm apart",
            "Pixels": _pixels(series),
        }
    return {fact: value for fact, value in facts.items() if value}


def method_fact(version: str, stages: Mapping[str, str], input_hash: str) -> str:
    """Say what found the kidneys and the tumors, and in which input.

    Args:
        version: Of the program.
        stages: The bundles by stage, in their order.
        input_hash: Of the source.
    """
    tumors = ", ".join(name for stage, name in stages.items() if stage.startswith("tumor"))
    kidneys = ", ".join(name for stage, name in stages.items() if not stage.startswith("tumor"))
    return (
        f"{PRODUCT} {version} with the networks {kidneys} (kidneys) and {tumors} (tumors), "
        f"on input {input_hash[:16]}."
    )


def _person(name: PersonName | MultiValue[PersonName] | str | None) -> str:
    """Write a name: family, given and the rest, then the same in the script of its own, if any.

    A name has up to three groups, alphabetic, ideographic and phonetic (DICOM PS3.5, 6.2), each of
    family, given and middle name, prefix and suffix, of which any may be empty.
    """
    if isinstance(name, MultiValue):  # one with a backslash
        name = name[0] if name else None
    groups = [_group(group) for group in str(name or "").split("=")]
    first, *others = [group for group in groups if group] or [""]
    own = others[0] if others else ""
    return f"{first} ({own})" if own and own != first else first


def _group(text: str) -> str:
    family, given, middle, prefix, suffix = (
        part.strip() for part in (text + "^^^^").split("^")[:5]
    )
    named = " ".join(part for part in (prefix, given, middle) if part)
    return _join(family, named, suffix)


def _steps(series: CTSeries) -> str:
    """The distance of the source slices; the grid's is another one where they are uneven."""
    between = spacing_of(np.asarray(series.image.affine, dtype=np.float64))[2]
    positions = [header.get("ImagePositionPatient") for header in series.headers]
    orientation = series.headers[0].get("ImageOrientationPatient")
    if series.planes.is_grid or orientation is None or None in positions:
        steps = between * np.diff(series.planes.levels)
    else:
        row, column = np.asarray(orientation, np.float64).reshape(2, 3)
        steps = np.diff(np.asarray(positions, np.float64) @ np.cross(row, column))
    low, high = f"{steps.min():.2f}", f"{steps.max():.2f}"
    return low if low == high else f"{low} to {high}"


def _pixels(series: CTSeries) -> str:
    """The spacing of the source's pixels, across and down."""
    down, across = (float(value) for value in series.headers[0].PixelSpacing)
    return f"{across:.2f} x {down:.2f} mm"


def _value(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip()


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
