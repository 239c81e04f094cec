"""Write a segment map as a DICOM segmentation on the planes of the source series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

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
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from renalseg.dicom.damage import damage_refused
from renalseg.dicom.read.series import CTSeries
from renalseg.dicom.write.derived import LONG_STRING, PRODUCT, Origin, concept, without_names
from renalseg.dicom.write.references import refer_to_frames
from renalseg.dicom.write.source import complete_headers
from renalseg.errors import RenalSegError
from renalseg.labels import LABELS, LATERALITY, Segment

_SAME_PLACE_MM = 1e-3


@damage_refused("the segmentation cannot be made from the headers of its source")
def build_seg(
    origin: Origin,
    segmented: npt.NDArray[np.uint8],
    segments: Sequence[Segment],
    *,
    created: datetime | None = None,
    labelmap: bool = False,
    empty_frames: bool = False,
    corrected: bool = False,
) -> hd.seg.Segmentation:
    """Build a segmentation whose frames lie on the source slices.

    All UIDs derive from the origin, so that a rerun gives the same object.

    Args:
        origin: The source series, which is not changed, and the software.
        segmented: Segment numbers (columns, rows, S) on the source slices, as `series.to_slices`
            gives them, 0 for background.
        segments: The segments, numbered 1, 2, ... without a gap.
        created: Date and time of the content; by default that of the source, so that a rerun gives
            the same bytes.
        labelmap: One frame a slice that holds the numbers of all segments (LABELMAP), instead of
            one frame a slice and segment (BINARY), which more viewers read.
        empty_frames: Also write the frames in which there is nothing.
        corrected: Whether a person drew the outlines, from those of the method.

    Returns:
        The segmentation, ready for `save_as`.

    Raises:
        ValueError: If there is no segment (DICOM has no empty segmentation), the numbers have gaps
            or miss one that the map holds, or the map does not fit the series.
        InputError: If the headers hold values that must not stand in a segmentation.
        RenalSegError: If a frame does not lie on the slice that it refers to.
    """
    series = origin.series
    _check_arguments(series, segmented, segments)
    kind = "labelmap" if labelmap else "seg"
    purpose = (kind.upper(), *(["empty frames"] if empty_frames else []))
    span = slice(None) if empty_frames else span_of(segmented)
    types = SegmentationTypeValues
    return segmentation(
        origin,
        kind,
        purpose,
        span,
        created=created,
        # (X, Y, S) to frames of rows: S, Y, X.
        pixel_array=np.ascontiguousarray(segmented[..., span].transpose(2, 1, 0)),
        segmentation_type=types.LABELMAP if labelmap else types.BINARY,
        segment_descriptions=[_describe(origin, segment, corrected) for segment in segments],
        omit_empty_frames=not empty_frames,
        content_label="KIDNEYS",
        content_description="Kidneys and tumors, for research use only",
    )


def span_of(planes: npt.NDArray[np.uint8]) -> slice:
    """Find the source slices from the first to the last in which something lies.

    highdicom looks at every source slice: those before and behind are left out.

    Args:
        planes: (columns, rows, S), not empty.
    """
    found = np.flatnonzero(planes.any(axis=(0, 1)))
    return slice(int(found[0]), int(found[-1]) + 1)


def segmentation(
    origin: Origin,
    kind: str,
    purpose: Sequence[str],
    span: slice,
    *,
    created: datetime | None = None,
    **content: Any,
) -> hd.seg.Segmentation:
    """Build a segmentation on some of the source slices.

    Args:
        origin: The source series and the software.
        kind: A key of `renalseg.dicom.write.derived.SERIES_NUMBERS`.
        purpose: What its UIDs derive from, besides the origin.
        span: The source slices.
        created: Date and time of the content; by default that of the source.
        content: Further arguments of highdicom.

    Raises:
        RenalSegError: If a frame does not lie on the slice that it refers to.
    """
    sources = complete_headers(origin.series.headers[span])
    sources[0] = without_names(sources[0])  # it stands for the patient
    with disable_value_validation():
        seg = hd.seg.Segmentation(
            source_images=sources,
            sop_instance_uid=origin.uid(*purpose),
            content_creator_name=f"{PRODUCT}^",
            specific_character_set=None,
            **content,
            **origin.series_arguments(kind),
        )
        origin.complete(seg, created)
        for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
            item.DimensionOrganizationUID = origin.uid("dimensions", *purpose[1:])
        _check_frames(seg, sources)
        refer_to_frames(seg, origin.series.frames)
    return seg


def _check_arguments(
    series: CTSeries, segmented: npt.NDArray[np.uint8], segments: Sequence[Segment]
) -> None:
    if not segments:
        raise ValueError("expected at least one segment: DICOM has no empty segmentation")
    numbers = [segment.number for segment in segments]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"expected segments numbered 1 to {len(numbers)} in order, got {numbers}")
    shape = (*series.planes.size, len(series.headers))
    if segmented.shape != shape:
        raise ValueError(f"expected a segment map of shape {shape}, got {segmented.shape}")
    if segmented.dtype != np.uint8:
        raise ValueError(f"expected a segment map of uint8, got {segmented.dtype}")
    if int(segmented.max()) > len(numbers):
        raise ValueError(
            f"the segment map holds {int(segmented.max())}, the segments end at {len(numbers)}"
        )


def algorithm_of(origin: Origin) -> AlgorithmIdentificationSequence:
    """Say what made a segment."""
    return AlgorithmIdentificationSequence(
        name=f"{PRODUCT} {origin.algorithm}"[:LONG_STRING],
        family=codes.DCM.ArtificialIntelligence,
        version=origin.version,
    )


def _describe(origin: Origin, segment: Segment, corrected: bool) -> SegmentDescription:
    """Describe one segment by codes, side and color."""
    info = LABELS[segment.kind]
    side = LATERALITY[segment.side]
    tracking = origin.tracking(segment)
    description = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=concept(info.category),
        segmented_property_type=concept(info.type),
        algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC
        if corrected
        else SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm_of(origin),
        tracking_uid=tracking.uid,
        tracking_id=tracking.identifier,
        anatomic_regions=None if info.region is None else [concept(info.region)],
        display_color=CIELabColor.from_rgb(*segment.rgb),
    )
    # The side qualifies the organ, which is the type of a kidney and the region of a tumor.
    if info.region is None:
        organ = description.SegmentedPropertyTypeCodeSequence[0]
        organ.SegmentedPropertyTypeModifierCodeSequence = [concept(side)]
    else:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [concept(side)]
    return description


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
