"""Enhanced CT: one file that holds all slices of a series as frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EnhancedCTImageStorage

from renalseg.dicom.tags import derive_uid

_PER_SLICE = (
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("RescaleIntercept", "RescaleSlope", "RescaleType", "AcquisitionNumber", "InstanceNumber"),
    *("WindowCenter", "WindowWidth", "KVP"),
)


def _item(**values: object) -> Items:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Items([item])


def write_enhanced(
    path: Path,
    slices: Sequence[Path],
    *,
    shared_orientation: bool = True,
    change: Callable[[Dataset], object] | None = None,
) -> Path:
    """Write the slices of a series as one multi-frame file.

    Args:
        path: File to write.
        slices: CT Image Storage files, in the order of the frames.
        shared_orientation: Whether orientation and spacing are said once or for each frame.
        change: Last changes.
    """
    sources = [pydicom.dcmread(source) for source in slices]
    first = sources[0]
    ds = pydicom.dcmread(slices[0])
    for keyword in _PER_SLICE:
        if keyword in ds:
            delattr(ds, keyword)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.SOPInstanceUID = derive_uid("enhanced", first.SeriesInstanceUID, path.name)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.InstanceNumber = 1
    ds.NumberOfFrames = len(sources)
    shared = Dataset()
    geometry = {
        "PlaneOrientationSequence": _item(ImageOrientationPatient=first.ImageOrientationPatient),
        "PixelMeasuresSequence": _item(
            PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness
        ),
    }
    frames = []
    for number, source in enumerate(sources, start=1):
        frame = Dataset()
        frame.PlanePositionSequence = _item(ImagePositionPatient=source.ImagePositionPatient)
        frame.FrameContentSequence = _item(
            FrameAcquisitionNumber=source.AcquisitionNumber,
            StackID="1",
            InStackPositionNumber=number,
            DimensionIndexValues=[1, number],
        )
        frame.PixelValueTransformationSequence = _item(
            RescaleIntercept=source.RescaleIntercept,
            RescaleSlope=source.RescaleSlope,
            RescaleType="HU",
        )
        frame.CTImageFrameTypeSequence = _item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
        frames.append(frame)
    for holder in [shared] if shared_orientation else frames:
        for keyword, items in geometry.items():
            setattr(holder, keyword, items)
    ds.SharedFunctionalGroupsSequence = Items([shared])
    ds.PerFrameFunctionalGroupsSequence = Items(frames)
    pixels = np.stack([source.pixel_array for source in sources])
    ds.PixelData = pixels.astype("<u2").tobytes()
    if change is not None:
        change(ds)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path)
    return path
