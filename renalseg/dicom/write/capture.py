"""Write a picture as a secondary capture, for viewers that cannot show a segmentation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from highdicom.sc import SCImage
from pydicom.config import disable_value_validation
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM

from renalseg.dicom.write.derived import Origin


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
