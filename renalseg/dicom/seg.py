"""Write a segment map as a DICOM segmentation on the planes of the source series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.color import CIELabColor
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from highdicom.sr import CodedConcept
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID
from pydicom.valuerep import DA, DT, TM

from renalseg.dicom.damage import damage_refused
from renalseg.dicom.read import CTSeries
from renalseg.dicom.source import acquisition_time, complete_headers
from renalseg.dicom.uids import derive_uid
from renalseg.errors import RenalSegError
from renalseg.labels import LABELS, LATERALITY, Code, Segment

SERIES_NUMBER = 900
PRODUCT = "RenalSeg"
_LONG_STRING = 64  # characters that a DICOM LO value holds
_SAME_PLACE_MM = 1e-3


@damage_refused("the segmentation cannot be made from the headers of its source")
def build_seg(
    series: CTSeries,
    segmented: npt.NDArray[np.uint8],
    segments: Sequence[Segment],
    *,
    algorithm: str,
    version: str,
    created: datetime | None = None,
) -> hd.seg.Segmentation:
    """Build a binary segmentation whose frames lie on the source slices; empty frames are left out.

    All UIDs derive from the input, the version and the algorithm, so that a rerun gives the same
    object.

    Args:
        series: The source series; not changed.
        segmented: Segment numbers (X, Y, Z) on the grid of the series, 0 for background.
        segments: The segments, numbered 1, 2, ... without a gap.
        algorithm: Name of the method, such as "sehdc".
        version: Version of RenalSeg.
        created: Date and time of the content; by default that of the source, so that a rerun gives
            the same bytes.

    Returns:
        The segmentation, ready for `save_as`.

    Raises:
        ValueError: If there is no segment (DICOM has no empty segmentation), the numbers have gaps
            or miss one that the map holds, or the map does not fit the series.
        InputError: If the headers hold values that must not stand in a segmentation.
        RenalSegError: If a frame does not lie on the slice that it refers to.
    """
    _check_arguments(series, segmented, segments)
    # highdicom looks at every source slice: those before and behind all segments are left out
    found = np.flatnonzero(segmented.any(axis=(0, 1)))
    span = slice(int(found[0]), int(found[-1]) + 1)
    sources = complete_headers(series.headers[span])
    created = created or acquisition_time(series.headers[0])
    # highdicom logs a name that it finds odd and refuses rare character sets, so the object gets
    # both afterwards.
    patient_name, sources[0].PatientName = sources[0].PatientName, ""
    descriptions = [_describe(series, segment, algorithm, version) for segment in segments]
    with disable_value_validation():
        seg = hd.seg.Segmentation(
            source_images=sources,
            # (X, Y, Z) to frames of rows: Z, Y, X.
            pixel_array=np.ascontiguousarray(segmented[..., span].transpose(2, 1, 0)),
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=descriptions,
            series_instance_uid=_uid(series, algorithm, version, "SEG series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=_uid(series, algorithm, version, "SEG"),
            instance_number=1,
            manufacturer=PRODUCT,
            manufacturer_model_name=PRODUCT,
            software_versions=version,
            device_serial_number=version,
            content_label="KIDNEYS",
            content_description="Kidneys and tumors, for research use only",
            content_creator_name=f"{PRODUCT}^",
            series_description=f"{PRODUCT} {version} {algorithm}"[: _LONG_STRING - 15]
            + " (research use)",
            content_date=created.date(),
            content_time=created.time(),
            specific_character_set=None,
        )
        if sources[0].get("SpecificCharacterSet"):
            seg.SpecificCharacterSet = sources[0].SpecificCharacterSet
        seg.PatientName = patient_name
        _finish(seg, created, _uid(series, algorithm, version, "dimensions"))
        _check_frames(seg, sources)
    return seg


def tracking_uid(series: CTSeries, segment: Segment, *, algorithm: str, version: str) -> UID:
    """Give the UID by which other objects, such as a report, refer to a segment's structure."""
    return _uid(series, algorithm, version, f"tracking {segment.label}")


def _uid(series: CTSeries, algorithm: str, version: str, purpose: str) -> UID:
    return derive_uid(series.input_hash, version, algorithm, purpose)


def _check_arguments(
    series: CTSeries, segmented: npt.NDArray[np.uint8], segments: Sequence[Segment]
) -> None:
    if not segments:
        raise ValueError("expected at least one segment: DICOM has no empty segmentation")
    numbers = [segment.number for segment in segments]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"expected segments numbered 1 to {len(numbers)} in order, got {numbers}")
    shape = tuple(series.image.shape[1:])
    if segmented.shape != shape:
        raise ValueError(f"expected a segment map of shape {shape}, got {segmented.shape}")
    if segmented.dtype != np.uint8:
        raise ValueError(f"expected a segment map of uint8, got {segmented.dtype}")
    if int(segmented.max()) > len(numbers):
        raise ValueError(
            f"the segment map holds {int(segmented.max())}, the segments end at {len(numbers)}"
        )


def _describe(
    series: CTSeries, segment: Segment, algorithm: str, version: str
) -> SegmentDescription:
    """Describe one segment by codes, side and color."""
    info = LABELS[segment.kind]
    side = LATERALITY[segment.side]
    description = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=_concept(info.category),
        segmented_property_type=_concept(info.type),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=f"{PRODUCT} {algorithm}"[:_LONG_STRING],
            family=codes.DCM.ArtificialIntelligence,
            version=version,
        ),
        tracking_uid=tracking_uid(series, segment, algorithm=algorithm, version=version),
        tracking_id=segment.label,
        anatomic_regions=None if info.region is None else [_concept(info.region)],
        display_color=CIELabColor.from_rgb(*info.rgb),
    )
    # The side qualifies the organ, which is the type of a kidney and the region of a tumor.
    if info.region is None:
        organ = description.SegmentedPropertyTypeCodeSequence[0]
        organ.SegmentedPropertyTypeModifierCodeSequence = [_concept(side)]
    else:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [_concept(side)]
    return description


def _concept(code: Code) -> CodedConcept:
    return CodedConcept(code.value, code.scheme, code.meaning)


def _finish(seg: hd.seg.Segmentation, created: datetime, dimensions: UID) -> None:
    """Set what the constructor leaves out, draws at random or takes from the clock."""
    seg.InstanceCreationDate = seg.SeriesDate = DA(created.date())
    seg.InstanceCreationTime = seg.SeriesTime = TM(created.time())
    # The last item is the library's note about itself.
    seg.ContributingEquipmentSequence[-1].ContributionDateTime = DT(created)
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions


def _check_frames(seg: hd.seg.Segmentation, sources: Sequence[Dataset]) -> None:
    """Check that every frame lies where the slice lies that it refers to."""
    positions = {
        source.SOPInstanceUID: np.array(source.ImagePositionPatient, dtype=np.float64)
        for source in sources
    }
    for number, frame in enumerate(seg.PerFrameFunctionalGroupsSequence, start=1):
        uid = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        found = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=np.float64)
        distance = float(np.linalg.norm(found - positions[uid]))
        if distance > _SAME_PLACE_MM:
            raise RenalSegError(
                f"frame {number} lies {distance:.3f} mm from the slice that it refers to ({uid})"
            )
