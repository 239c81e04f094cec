"""Write an array as a CT series, one valid CT Image Storage file per slice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from renalseg.dicom.tags import derive_uid
from renalseg.geometry import DicomGeometry, dicom_from_affine, slice_normal

RESCALE_INTERCEPT = -1024
MAX_HU = 4095 + RESCALE_INTERCEPT

# Patient and study of a series that shows nobody. The date is fixed, so that the same call writes
# the same bytes.
SYNTHETIC_SUBJECT: Mapping[str, str] = MappingProxyType(
    {
        "PatientName": "Synthetic^Subject",
        "PatientID": "SYNTHETIC",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyDate": "20200101",
        "StudyTime": "120000",
        "StudyID": "1",
        "StudyDescription": "Synthetic abdomen",
        "SeriesDescription": "Synthetic CT",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
    }
)


def write_ct_series(
    out_dir: Path,
    hu: npt.NDArray[np.int16],
    affine: npt.ArrayLike,
    *,
    seed: int | str = 0,
    patient_position: str = "HFS",
    attributes: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write a volume as a CT series of 12-bit slices.

    The slices are written in the order of the array's last axis, whichever way that runs.

    Args:
        out_dir: Folder to write into; made if needed.
        hu: Volume (X, Y, Z) in HU, clipped to what 12 bits hold (-1024 to 3071 HU).
        affine: (4, 4) voxel-to-world affine in RAS mm; its third column must stand on the first
            two.
        seed: Names the series: all UIDs derive from it, so the same seed gives the same UIDs.
        patient_position: PatientPosition, such as "HFS"; says nothing about the geometry.
        attributes: Values by DICOM keyword that replace those of `SYNTHETIC_SUBJECT` or add to
            them.

    Returns:
        The files, slice 0 first.

    Raises:
        ValueError: If `hu` is not a volume or `affine` shears the slices.
    """
    if hu.ndim != 3:
        raise ValueError(f"expected a volume (X, Y, Z), got an array of shape {hu.shape}")
    geometry = dicom_from_affine(affine)
    common = _common_attributes(str(seed), geometry, patient_position)
    for keyword, value in {**SYNTHETIC_SUBJECT, **(attributes or {})}.items():
        setattr(common, keyword, value)

    out_dir.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(hu.shape[2]):
        path = out_dir / f"CT{index + 1:04d}.dcm"
        _slice_dataset(common, geometry, hu[:, :, index], index, str(seed)).save_as(
            path, enforce_file_format=True
        )
        paths.append(path)
    return paths


def _common_attributes(seed: str, geometry: DicomGeometry, patient_position: str) -> Dataset:
    """Give the attributes that all slices share."""
    thickness = float(np.linalg.norm(geometry.slice_step))
    along = abs(float(geometry.slice_step @ slice_normal(geometry.orientation)))
    if along < 0.9999 * thickness:
        raise ValueError(
            "the affine shears the slices: its third column is not normal to the first two"
        )

    ds = Dataset()
    ds.SOPClassUID = CTImageStorage
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Modality = "CT"
    ds.Manufacturer = "RenalSeg"
    ds.ManufacturerModelName = "Synthetic CT"
    ds.BodyPartExamined = "ABDOMEN"
    ds.PatientPosition = patient_position
    ds.KVP = "120"
    ds.SliceThickness = _decimal(thickness)
    ds.StudyInstanceUID = derive_uid("study", seed)
    ds.SeriesInstanceUID = derive_uid("series", seed)
    ds.FrameOfReferenceUID = derive_uid("frame of reference", seed)
    ds.PositionReferenceIndicator = ""
    ds.SeriesNumber = 1
    ds.AcquisitionNumber = 1
    ds.ImageOrientationPatient = [_decimal(value) for value in geometry.orientation]
    ds.PixelSpacing = [_decimal(value) for value in geometry.pixel_spacing]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = 16
    ds.BitsStored = 12
    ds.HighBit = 11
    ds.PixelRepresentation = 0
    ds.RescaleIntercept = str(RESCALE_INTERCEPT)
    ds.RescaleSlope = "1"
    ds.RescaleType = "HU"
    ds.WindowCenter = "40"
    ds.WindowWidth = "400"
    return ds


def _slice_dataset(
    common: Dataset, geometry: DicomGeometry, hu: npt.NDArray[np.int16], index: int, seed: str
) -> FileDataset:
    """Give the file of one slice.

    Args:
        common: Attributes that all slices share.
        geometry: Geometry of the series.
        hu: Slice (X, Y) in HU.
        index: Index of the slice along Z.
        seed: Name of the series.

    Returns:
        The dataset with pixels and file meta information.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = derive_uid("slice", seed, str(index))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian

    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.update(common)
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.InstanceNumber = index + 1
    position = geometry.position + index * geometry.slice_step
    ds.ImagePositionPatient = [_decimal(value) for value in position]
    ds.Columns, ds.Rows = hu.shape
    stored = np.clip(hu, RESCALE_INTERCEPT, MAX_HU) - RESCALE_INTERCEPT
    # (X, Y) to rows of pixels: Y outside, X inside.
    ds.PixelData = np.ascontiguousarray(stored.T.astype("<u2")).tobytes()
    return ds


def _decimal(value: float) -> DSfloat:
    """Write a number in the 16 characters that DICOM allows; an integral value needs no more."""
    return DSfloat(round(float(value), 12) + 0.0, auto_format=True)
