"""Split an Enhanced CT into frames, each of which reads like a single-slice file.

The functional groups of a frame (PS3.3, C.7.6.16) are written flat into its header, under the names
of CT Image Storage. `renalseg.dicom.write.references` turns
references to such frames back into references to the object and its frame numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from renalseg.dicom.tags import Instance, SourceFrame, derive_uid
from renalseg.errors import InputError

MULTI_FRAME = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"

# Functional group: its attributes, and what CT Image Storage calls them.
_GROUPS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
        "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
        "PixelMeasuresSequence": {
            "PixelSpacing": "PixelSpacing",
            "SliceThickness": "SliceThickness",
        },
        "PixelValueTransformationSequence": {
            "RescaleIntercept": "RescaleIntercept",
            "RescaleSlope": "RescaleSlope",
            "RescaleType": "RescaleType",
        },
        "FrameContentSequence": {
            "FrameAcquisitionNumber": "AcquisitionNumber",
            "FrameAcquisitionDateTime": "AcquisitionDateTime",
            "TemporalPositionIndex": "TemporalPositionIndex",
        },
        "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
        "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel"},
        "CTExposureSequence": {"KVP": "KVP"},
        "UnassignedSharedConvertedAttributesSequence": {
            "AcquisitionNumber": "AcquisitionNumber",
            "ConvolutionKernel": "ConvolutionKernel",
        },
        "UnassignedPerFrameConvertedAttributesSequence": {
            "AcquisitionNumber": "AcquisitionNumber",
            "AcquisitionTime": "AcquisitionTime",
            "ContentTime": "ContentTime",
            "InstanceNumber": "InstanceNumber",
        },
    }
)
_OF_THE_OBJECT = (
    *(SHARED, PER_FRAME, "NumberOfFrames"),
    *("DimensionOrganizationSequence", "DimensionIndexSequence", "DimensionOrganizationType"),
)


def frame_uid(sop_instance_uid: str, frame: int) -> str:
    """Derive a UID for a frame (from 1) as if it were a separate object."""
    return derive_uid("frame", sop_instance_uid, str(frame))


def expand(instance: Instance) -> Iterator[Instance]:
    """Yield the frames of a multi-frame CT as slices.

    Args:
        instance: The file, with its functional groups.

    Yields:
        One slice per frame, in order. Its header lacks what the functional groups lack, as a file's
        would.

    Raises:
        InputError: If the functional groups are missing or do not fit the number of frames.
    """
    header = instance.header
    uid = instance.text("SOPInstanceUID")
    declared = instance.frames
    shared, frames = instance.value(SHARED), instance.value(PER_FRAME)
    if not frames or len(frames) != declared:
        raise InputError(
            f"{instance.path}: expected functional groups for each of {declared} frames, "
            f"found {len(frames or ())}"
        )
    common = Dataset()
    common.update({tag: header.get_item(tag) for tag in header.keys()})  # noqa: SIM118
    for keyword in _OF_THE_OBJECT:
        if keyword in common:
            delattr(common, keyword)
    _put(common, "SOPClassUID", CTImageStorage)
    common.file_meta = getattr(header, "file_meta", None) or FileMetaDataset()
    if shared:
        _flatten(shared[0], common)
    for number, groups in enumerate(frames, start=1):
        source = SourceFrame(header.SOPClassUID, uid, number)
        flat = Dataset()
        flat.update({tag: common.get_item(tag) for tag in common.keys()})  # noqa: SIM118
        flat.file_meta = common.file_meta
        flat.set_original_encoding(*header.original_encoding)
        _put(flat, "SOPInstanceUID", frame_uid(uid, number))
        _put(flat, "InstanceNumber", number)
        _flatten(groups, flat)
        yield replace(instance, header=flat, source=source)


def _flatten(groups: Dataset, flat: Dataset) -> None:
    """Write what functional groups say into a header."""
    for sequence, keywords in _GROUPS.items():
        items = groups.get(sequence)
        if not items:
            continue
        for keyword, name in keywords.items():
            value = items[0].get(keyword)
            if value is not None and value != "":
                _put(flat, name, value)


def _put(header: Dataset, keyword: str, value: object) -> None:
    """Set an attribute by a new element: the old one may be shared with other headers."""
    header.add_new(keyword, dictionary_VR(keyword), value)
