"""Source headers for derived objects: checked, measured and completed.

Results refer to the source by a few attributes, which are copied one by one when the series is
read: no other value of a file reaches a result, and none ends a run late. Distances are measured
from the positions, because SliceThickness and SpacingBetweenSlices are often wrong, and readers of
a segmentation rely on them.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import numpy as np
from pydicom.config import RAISE, disable_value_validation
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM, DSfloat, validate_value

from renalseg.dicom.read.slice_grid import OrderedSlices
from renalseg.dicom.read.slice_spacing import MAX_JITTER, jitter_of
from renalseg.dicom.tags import Instance, derive_uid
from renalseg.geometry import slice_normal

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


_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# What may stand in a derived object of patient, study and equipment, as the first slice has it.
_TAKEN = (
    *("SpecificCharacterSet", "Modality", *_TYPE_2, "PositionReferenceIndicator"),
    *("IssuerOfPatientID", "PatientBirthTime", "OtherPatientIDs", "EthnicGroup", "PatientComments"),
    "LongitudinalTemporalInformationModified",
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("StudyDescription", "ProcedureCodeSequence", "ReferencedStudySequence", "PatientAge"),
    *("PatientSize", "PatientWeight", "AdmissionID", "MedicalAlerts", "Allergies"),
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName"),
    *("ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID"),
    *("ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID"),
    *("ClinicalTrialTimePointDescription", "ManufacturerModelName", "DeviceSerialNumber"),
    *("SoftwareVersions", "InstitutionName", "StationName", "SeriesNumber", "SeriesDescription"),
    *("SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime", "ContentDate"),
    *("ContentTime", "BodyPartExamined", "PatientPosition", "LossyImageCompression"),
    *("LossyImageCompressionRatio", "LossyImageCompressionMethod", "ContrastBolusAgent"),
    *("ProtocolName", "ImageType"),
)
# Texts are taken as they are, other than by their length; what else is malformed is left out.
_WRITTEN = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"})
_TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})


def source_headers(grid: OrderedSlices) -> tuple[Dataset, ...]:
    """Return the headers of a series for derived objects.

    Args:
        grid: The series in order.

    Returns:
        One header per slice. Distances are measured, and SpacingBetweenSlices is there only where
        the slices are evenly spaced. Patient, study and equipment are those of the first slice; of
        them what is malformed is left out. Missing type 2 attributes are empty, and a missing
        frame of reference gets a UID that derives from the SeriesInstanceUID.

    Raises:
        InputError: If a slice lacks what names it or says where it lies.
    """
    common = _measured(grid)
    _take(grid.instances[0], common, _TAKEN)
    if common.get("LossyImageCompression") not in ("00", "01"):
        common.pop("LossyImageCompression", None)
    common.SeriesInstanceUID = grid.instances[0].text("SeriesInstanceUID")
    common.FrameOfReferenceUID = grid.instances[0].optional("FrameOfReferenceUID")
    _complete(common)
    headers = []
    for instance in grid.instances:
        header = Dataset()
        header.update(common)  # the elements are shared: headers are only read
        for keyword in _IDENTITY:
            header.add_new(keyword, "UI", instance.text(keyword))
        _take(instance, header, ("InstanceNumber",))
        header.ImagePositionPatient = _decimals(instance.numbers("ImagePositionPatient", 3))
        headers.append(header)
    return tuple(headers)


def _measured(grid: OrderedSlices) -> Dataset:
    """Return what all slices share: size, directions and spacing."""
    first = grid.instances[0]
    orientation = first.numbers("ImageOrientationPatient", 6)
    places = [instance.numbers("ImagePositionPatient", 3) for instance in grid.instances]
    steps = np.diff(np.stack(places) @ slice_normal(orientation))
    common = Dataset()
    common.Modality = "CT"
    for keyword in ("Rows", "Columns"):
        setattr(common, keyword, int(first.numbers(keyword, 1)[0]))
    common.ImageOrientationPatient = _decimals(orientation)
    common.PixelSpacing = _decimals(first.numbers("PixelSpacing", 2))
    common.SliceThickness = _decimals([np.median(steps)])[0]
    if jitter_of(steps)[1] <= MAX_JITTER:
        common.SpacingBetweenSlices = _decimals([steps.mean()])[0]
    return common


def _decimals(values: Iterable[float]) -> list[DSfloat]:
    """Write numbers in the 16 characters that DICOM allows."""
    return [DSfloat(round(float(value), 9) + 0.0, auto_format=True) for value in values]


def _take(instance: Instance, header: Dataset, keywords: Sequence[str]) -> None:
    """Copy the attributes that conform to DICOM."""
    for keyword in keywords:
        # a value is parsed when it is asked for, with errors of many kinds
        with suppress(Exception):
            if keyword in instance.header and _is_sound(instance.header[keyword]):
                header.add(instance.header[keyword])


def _is_sound(element: DataElement) -> bool:
    """Return whether an element, with its content, has its tag's VR and a valid value."""
    if element.VR not in dictionary_VR(element.tag):
        return False
    if element.VR == "SQ":
        return all(_is_sound(inner) for item in element.value for inner in item)
    if element.VR in _TEXTS:
        str(element.value)
        return True
    values: Any = element.value if isinstance(element.value, MultiValue) else [element.value]
    for value in values:
        if value is None or value == "":
            continue
        validate_value(element.VR, str(value) if element.VR in _WRITTEN else value, RAISE)
        if element.VR in ("DS", "IS", "FD", "FL") and not np.isfinite(float(value)):
            return False
    return True


def complete_headers(headers: Sequence[Dataset]) -> list[Dataset]:
    """Copy source headers and complete what stripping removed.

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
    """Return when a slice was acquired, by its most specific date; 1970-01-01 if it has none."""
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
