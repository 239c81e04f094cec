"""Wrap a PDF as a DICOM object: Encapsulated PDF of DICOM PS3.3 A.45.1."""

from __future__ import annotations

from highdicom.base import SOPClass
from highdicom.sr import CodedConcept
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from renalseg.dicom.write.derived import Origin


def build_pdf(origin: Origin, pdf: bytes, title: str) -> SOPClass:
    """Build the object.

    Args:
        origin: The source series; its slices are named as the sources of the document.
        pdf: The file.
        title: Its title, at most 1024 characters.

    Returns:
        The object, ready for `save_as`; the same arguments give the same bytes.
    """
    with disable_value_validation():
        document = SOPClass(
            sop_class_uid=EncapsulatedPDFStorage,
            sop_instance_uid=origin.uid("PDF"),
            modality="DOC",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **origin.study_arguments(),
            **origin.series_arguments("pdf"),
        )
        document.copy_patient_and_study_information(origin.header)
        origin.complete(document)
        document.ConversionType = "WSD"
        document.BurnedInAnnotation = "YES"  # the page names the patient
        document.AcquisitionDateTime = ""
        document.DocumentTitle = title
        document.ConceptNameCodeSequence = [
            CodedConcept.from_code(codes.DCM.ImagingMeasurementReport)
        ]
        document.VerificationFlag = "UNVERIFIED"
        document.SourceInstanceSequence = [_reference(header) for header in origin.series.headers]
        document.MIMETypeOfEncapsulatedDocument = "application/pdf"
        document.EncapsulatedDocumentLength = len(pdf)
        document.EncapsulatedDocument = pdf + b"\x00" * (len(pdf) % 2)
    return document


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item
