"""Write the probabilities of lesions as a fractional segmentation (DICOM PS3.3, C.8.20.2)."""

from __future__ import annotations

from collections.abc import Mapping

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)

from renalseg.dicom.damage import damage_refused
from renalseg.dicom.write.derived import Origin, concept
from renalseg.dicom.write.seg import algorithm_of, segmentation, span_of
from renalseg.labels import LABELS

MOST = 255
"""The value that stands for a probability of 1."""


@damage_refused("the probabilities cannot be written from the headers of their source")
def build_probability(
    origin: Origin, planes: Mapping[int, npt.NDArray[np.uint8]]
) -> hd.seg.Segmentation:
    """Build a segmentation with a segment for tumors and one for cysts, on both sides.

    Lesions have no segments of their own: the probability does not end where they do.

    Args:
        origin: The source series, which is not changed, and the software.
        planes: Probabilities (columns, rows, S) from 0 to `MOST` on the source slices, by kind; not
            all of them empty.

    Returns:
        The segmentation, ready for `save_as`.
    """
    span = span_of(np.maximum.reduce(list(planes.values())))
    parts = [each[..., span].transpose(2, 1, 0) for each in planes.values()]  # S, Y, X
    described = [_describe(origin, number, kind) for number, kind in enumerate(planes, start=1)]
    return segmentation(
        origin,
        "probability",
        ("PROBABILITY",),
        span,
        pixel_array=np.stack(parts, axis=-1).astype(np.float32) / MOST,
        segmentation_type=SegmentationTypeValues.FRACTIONAL,
        fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=MOST,
        segment_descriptions=described,
        content_label="PROBABILITY",
        content_description="Not calibrated, for research use only",
    )


def _describe(origin: Origin, number: int, kind: int) -> SegmentDescription:
    info = LABELS[kind]
    name = f"Probability of {info.name}"
    return SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=concept(info.category),
        segmented_property_type=concept(info.type),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm_of(origin),
        tracking_uid=origin.tracking_uid(name),
        tracking_id=name,
        anatomic_regions=None if info.region is None else [concept(info.region)],
    )
