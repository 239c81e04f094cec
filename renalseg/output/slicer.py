"""Segmentations of 3D Slicer: segment maps in NRRD with names, colors and codes in the header.

The keys are those of https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from renalseg.labels import LABELS, LATERALITY, Code, Segment

SUFFIX = ".seg.nrrd"
_TYPES = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS = "Anatomic codes - DICOM master list"
_REPRESENTATION = "Binary labelmap"


def slicer_keys(segmented: npt.NDArray[np.uint8], segments: Sequence[Segment]) -> Mapping[str, str]:
    """Describe the segments of a map for 3D Slicer.

    Args:
        segmented: Segment numbers (X, Y, Z) as they are stored.
        segments: What was found.

    Returns:
        What the header holds besides the geometry.
    """
    keys = {
        "Segmentation_ContainedRepresentationNames": f"{_REPRESENTATION}|",
        "Segmentation_MasterRepresentation": _REPRESENTATION,
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    boxes = find_objects(segmented)
    for index, segment in enumerate(segments):
        extent = (f"{side.start} {side.stop - 1}" for side in boxes[segment.number - 1])
        entry = {
            "ID": f"Segment_{segment.number}",
            "Name": segment.label,
            "Color": " ".join(f"{value / 255:.6g}" for value in segment.rgb),
            "LabelValue": str(segment.number),
            "Layer": "0",
            "Extent": " ".join(extent),
            "Tags": f"Segmentation.Status:completed|TerminologyEntry:{_terminology(segment)}|",
        }
        keys |= {f"Segment{index}_{name}": value for name, value in entry.items()}
    return keys


def _terminology(segment: Segment) -> str:
    """The codes of the DICOM segmentation: the side qualifies the organ, which a tumor lies in."""
    info = LABELS[segment.kind]
    side = LATERALITY[segment.side]
    is_organ = info.region is None
    return "~".join(
        (
            _TYPES,
            *(_text(info.category), _text(info.type), _text(side if is_organ else None)),
            _REGIONS,
            *(_text(info.region), _text(None if is_organ else side)),
        )
    )


def _text(code: Code | None) -> str:
    return "^^" if code is None else "^".join((code.scheme, code.value, code.meaning))
