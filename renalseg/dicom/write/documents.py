"""Pages and pictures as DICOM objects: Encapsulated PDF and Secondary Capture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from highdicom.base import SOPClass
from highdicom.sc import SCImage
from highdicom.sr import CodedConcept
from pydicom.config import disable_value_validation
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM

from renalseg.dicom.write.derived import Origin, reference


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
        document.SourceInstanceSequence = [reference(header) for header in origin.series.headers]
        document.MIMETypeOfEncapsulatedDocument = "application/pdf"
        document.EncapsulatedDocumentLength = len(pdf)
        document.EncapsulatedDocument = pdf + b"\x00" * (len(pdf) % 2)
    return document


def build_capture(origin: Origin, pixels: npt.NDArray[np.uint8]) -> SCImage:
    """Build the object (DICOM PS3.3 A.8.1).

    Args:
        origin: The source series.
        pixels: RGB (rows, columns, 3).

    Returns:
        The image, ready for `save_as`; the same arguments give the same bytes.
    """
    with disable_value_validation():
        capture = SCImage(
            pixel_array=pixels,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "P"),
            sop_instance_uid=origin.uid("SC"),
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **origin.study_arguments(),
            **origin.series_arguments("sc"),
        )
        capture.copy_patient_and_study_information(origin.header)
        origin.complete(capture)
        capture.PatientOrientation = []  # the picture shows three planes
        capture.Laterality = ""  # both sides
        capture.ConversionType = "WSD"
        capture.BurnedInAnnotation = "NO"
        capture.DateOfSecondaryCapture = DA(origin.created.date())
        capture.TimeOfSecondaryCapture = TM(origin.created.time())
    return capture
