"""What reading a segmentation begins with: the file, and its frames with their places."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.errors import InvalidDicomError

from renalseg.errors import InputError
from renalseg.geometry import Array

SAME_PLACE_MM = 1e-2


def open_seg(path: Path) -> hd.seg.Segmentation:
    """Opens a segmentation.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return hd.seg.segread(path)
    except (OSError, InvalidDicomError, AttributeError, ValueError) as error:
        raise InputError(f"Expected a DICOM SEG, cannot read {path}: {error}") from error


def numbered_frames(seg: hd.seg.Segmentation) -> tuple[npt.NDArray[np.uint8], Array]:
    """The frames as segment numbers, and where they lie.

    Args:
        seg: BINARY, whose frames have a segment each, or LABELMAP.

    Returns:
        (F, rows, columns) segment numbers, 0 for background, and (F, 3) first pixels in LPS mm.

    Raises:
        InputError: Pixels, places or segments are missing.
    """
    try:
        groups = seg.PerFrameFunctionalGroupsSequence
        places = np.array([g.PlanePositionSequence[0].ImagePositionPatient for g in groups], float)
        frames = seg.pixel_array.reshape(len(groups), seg.Rows, seg.Columns).astype(np.uint8)
        if seg.SegmentationType != "LABELMAP":
            shared = seg.SharedFunctionalGroupsSequence[0]  # has the segment where there is one
            named = (g if "SegmentIdentificationSequence" in g else shared for g in groups)
            segments = (g.SegmentIdentificationSequence[0] for g in named)
            numbers = [segment.ReferencedSegmentNumber for segment in segments]
            frames *= np.array(numbers, np.uint8)[:, None, None]
    except (AttributeError, IndexError, ValueError) as error:
        raise InputError(f"Expected frames with places in a DICOM SEG: {error}") from error
    return frames, places
