"""Write a segment map as an RT Structure Set: contours on the planes of the source series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from highdicom.base import SOPClass
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage
from pydicom.valuerep import DA, TM
from scipy.ndimage import find_objects

from renalseg.dicom.damage import damage_refused
from renalseg.dicom.write.contours import outlines
from renalseg.dicom.write.derived import LONG_STRING, PRODUCT, Origin, concept, reference
from renalseg.geometry import Array, affine_from_dicom, lps_to_ras, slice_normal, to_world
from renalseg.labels import KIDNEY, LABELS, LATERALITY, Segment

_DIGITS = 3  # of a coordinate in mm
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # retired, yet what RT objects name a study by


@damage_refused("the structure set cannot be made from the headers of its source")
def build_rtstruct(
    origin: Origin, segmented: npt.NDArray[np.uint8], segments: Sequence[Segment]
) -> SOPClass:
    """Build the object (DICOM PS3.3, A.19).

    Args:
        origin: The source series and the software.
        segmented: Segment numbers (columns, rows, S) on the source slices, as `series.to_slices`
            gives them, 0 for background.
        segments: The segments; at least one.

    Returns:
        The object, ready for `save_as`; the same arguments give the same bytes. A contour may be
        longer than a value with an explicit VR can be, so VRs are implicit.
    """
    with disable_value_validation():
        built = SOPClass(
            sop_class_uid=RTStructureSetStorage,
            sop_instance_uid=origin.uid("RTSTRUCT"),
            modality="RTSTRUCT",
            transfer_syntax_uid=ImplicitVRLittleEndian,
            **origin.study_arguments(),
            **origin.series_arguments("rtstruct"),
        )
        built.copy_patient_and_study_information(origin.header)
        origin.complete(built)
        del built.ContentDate, built.ContentTime  # those of a structure set have other names
        built.OperatorsName = ""
        built.FrameOfReferenceUID = origin.header.FrameOfReferenceUID
        built.PositionReferenceIndicator = origin.header.PositionReferenceIndicator
        built.StructureSetLabel = "KIDNEYS"
        built.StructureSetName = "Kidneys and tumors, for research use only"
        built.StructureSetDate = DA(origin.created.date())
        built.StructureSetTime = TM(origin.created.time())
        built.ApprovalStatus = "UNAPPROVED"
        built.ReferencedFrameOfReferenceSequence = [_frame_of_reference(origin)]
        built.StructureSetROISequence = [_region(origin, segment) for segment in segments]
        boxes = find_objects(segmented)
        built.ROIContourSequence = [
            _contours(origin, segmented, segment, boxes[segment.number - 1]) for segment in segments
        ]
        built.RTROIObservationsSequence = [_observation(segment) for segment in segments]
    return built


def _frame_of_reference(origin: Origin) -> Dataset:
    """Name study, series and slices that the contours lie on."""
    header = origin.header
    series = Dataset()
    series.SeriesInstanceUID = header.SeriesInstanceUID
    series.ContourImageSequence = [reference(slice_) for slice_ in origin.series.headers]
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = header.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    item = Dataset()
    item.FrameOfReferenceUID = header.FrameOfReferenceUID
    item.RTReferencedStudySequence = [study]
    return item


def _region(origin: Origin, segment: Segment) -> Dataset:
    item = Dataset()
    item.ROINumber = segment.number
    item.ReferencedFrameOfReferenceUID = origin.header.FrameOfReferenceUID
    item.ROIName = segment.label
    item.ROIVolume = f"{segment.volume_ml:.3f}"
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    item.ROIGenerationDescription = f"{PRODUCT} {origin.version} {origin.algorithm}"[:LONG_STRING]
    return item


def _contours(
    origin: Origin,
    segmented: npt.NDArray[np.uint8],
    segment: Segment,
    box: tuple[slice, slice, slice],
) -> Dataset:
    """Outline a segment, which a box holds, on each slice that shows it."""
    columns, rows, slices = box
    contours = []
    for number in range(slices.start, slices.stop):
        header = origin.series.headers[number]
        for polygon in outlines(segmented[columns, rows, number] == segment.number):
            points = _in_patient(header, polygon + np.array([columns.start, rows.start]))
            contour = Dataset()
            contour.ContourImageSequence = [reference(header)]
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = list(_decimals(points))
            contours.append(contour)
    item = Dataset()
    item.ReferencedROINumber = segment.number
    item.ROIDisplayColor = list(segment.rgb)
    item.ContourSequence = contours
    return item


def _in_patient(header: Dataset, points: Array) -> Array:
    """Bring points (N, 2) of a slice, column and row, to LPS mm (N, 3)."""
    orientation = header.ImageOrientationPatient
    affine = affine_from_dicom(
        orientation, header.ImagePositionPatient, header.PixelSpacing, slice_normal(orientation)
    )
    return to_world(lps_to_ras(affine), np.pad(points, ((0, 0), (0, 1))))


def _decimals(points: Array) -> Iterator[str]:
    """Write coordinates, none of them longer than DICOM allows or as -0."""
    for value in (points.round(_DIGITS) + 0.0).ravel().tolist():
        yield f"{value:.{_DIGITS}f}"


def _observation(segment: Segment) -> Dataset:
    """Say by codes, as the segmentation does, what a region is."""
    info = LABELS[segment.kind]
    side = concept(LATERALITY[segment.side])
    kind = concept(info.type)
    item = Dataset()
    item.ObservationNumber = segment.number
    item.ReferencedROINumber = segment.number
    item.SegmentedPropertyCategoryCodeSequence = [concept(info.category)]
    item.RTROIIdentificationCodeSequence = [kind]
    if info.region is None:
        kind.SegmentedPropertyTypeModifierCodeSequence = [side]
    else:
        region = concept(info.region)
        region.AnatomicRegionModifierSequence = [side]
        item.AnatomicRegionSequence = [region]
    # whether a mass is a target volume is for people to say
    item.RTROIInterpretedType = "ORGAN" if segment.kind == KIDNEY else ""
    item.ROIInterpreter = ""
    return item
