"""A structured report as FHIR R4, by HL7's guide "DICOM SR to FHIR Resource Mapping" 1.0.0.

The guide is of R5 and says that its observations also fit R4, which hospitals run. What R4 lacks is
left out (ImagingSelection, and with it the number of the segment) or stands elsewhere: a
BodyStructure is the focus of its observations. Patient, study and order are in the destination, as
the guide has it, and are referred to by their identifiers.
"""

from __future__ import annotations

from typing import Any

from highdicom.sr import Comprehensive3DSR
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from renalseg.output.fhir.elements import Json, Transaction, concept, reference, uid
from renalseg.output.fhir.observations import add_group, add_not_found

_CT = Code("CT", "v2-0074", "CAT Scan")
_RECORD = Code("MR", "v2-0203", "Medical record number")
_ACCESSION = Code("ACSN", "v2-0203", "Accession ID")
_UNDATED = "19700101"  # of a report whose source has no date, see `acquisition_time`


def to_fhir(report: Dataset) -> str:
    """Map a report to a bundle of FHIR R4.

    Args:
        report: As `renalseg.dicom.write.sr.build_sr` makes it.

    Returns:
        The bundle in JSON: a transaction, which changes nothing when it is posted again. The same
        report gives the same text.
    """
    # a third of a second, and of the extra fhir; R4B has the resources that are used here as R4 has
    from fhir.resources.R4B.bundle import Bundle

    content: Any = Comprehensive3DSR.from_dataset(report).content  # a MeasurementReport
    made = Transaction(str(report.SOPInstanceUID))
    study = reference("ImagingStudy", uid(report.StudyInstanceUID))
    shared = {
        "status": report.PreliminaryFlag.lower(),
        "subject": _patient(report),
        **_order(report),
        **_date(report),
    }
    observed = {**shared, "partOf": [study], "device": made.add(_device(report, content))}
    segments = content.get_volumetric_roi_measurement_groups()
    results = [add_group(made, group, observed) for group in segments]
    not_found = content.get_image_measurement_groups()
    results += [add_not_found(made, group, observed) for group in not_found]
    made.add(
        {
            "resourceType": "DiagnosticReport",
            "identifier": [uid(report.SOPInstanceUID)],
            **shared,
            "category": [concept(_CT)],
            "code": concept(codes.DCM.ImagingMeasurementReport),
            "imagingStudy": [study],
            "result": results,
            "conclusion": "\n".join(_said(report)),
        }
    )
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": made.entries}
    return f"{Bundle.model_validate(bundle).model_dump_json(indent=2)}\n"


def _said(report: Dataset) -> list[str]:
    """Give what the report says in sentences, the conclusion last."""
    return [
        item.TextValue
        for item in report.ContentSequence
        if (item.ValueType, item.RelationshipType) == ("TEXT", "CONTAINS")
    ]


def _device(report: Dataset, content: Any) -> Json:
    """Give the program: this version with these networks."""
    (context,) = content.get_observer_contexts(observer_type=codes.DCM.Device)
    device = context.observer_identifying_attributes
    return {
        "resourceType": "Device",
        "identifier": [uid(device.uid)],
        "manufacturer": device.manufacturer_name,
        "deviceName": [{"name": device.model_name, "type": "model-name"}],
        "version": [{"value": version} for version in report.SoftwareVersions],
    }


def _patient(report: Dataset) -> Json:
    """Refer to the patient by the ID that the source has, and by nothing else."""
    value = _text(report, "PatientID")
    if not value:
        return {"type": "Patient", "display": "Unknown"}
    issuer = _text(report, "IssuerOfPatientID")
    assigner = {"assigner": {"display": issuer}} if issuer else {}
    return reference("Patient", _numbered(_RECORD, value) | assigner)


def _order(report: Dataset) -> Json:
    """Refer to the order by its accession number, if it has one."""
    value = _text(report, "AccessionNumber")
    order = reference("ServiceRequest", _numbered(_ACCESSION, value))
    return {"basedOn": [order]} if value else {}


def _date(report: Dataset) -> Json:
    """Give the day of the CT; a time would need a time zone, which few sources have."""
    date = str(report.ContentDate)
    known = date != _UNDATED
    return {"effectiveDateTime": f"{date[:4]}-{date[4:6]}-{date[6:]}"} if known else {}


def _numbered(kind: Code, value: str) -> Json:
    """Give a number that a hospital assigns, and of what kind it is."""
    return {"type": concept(kind), "value": value}


def _text(report: Dataset, keyword: str) -> str:
    return str(report.get(keyword) or "").strip()
