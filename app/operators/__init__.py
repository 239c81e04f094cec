"""The operators, one a file, each thin over one function of renalseg.pipeline."""

from app.operators.dicom_loader import DicomLoaderOperator
from app.operators.dicom_seg_writer import DicomSegWriterOperator
from app.operators.kidney_localizer import KidneyLocalizerOperator
from app.operators.tumor import TumorOperator

__all__ = [
    "DicomLoaderOperator",
    "DicomSegWriterOperator",
    "KidneyLocalizerOperator",
    "TumorOperator",
]
