"""Read a segmentation back for the series that it was made of, by the places of its frames."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.errors import InvalidDicomError

from renalseg.dicom.read import CTSeries
from renalseg.errors import InputError

_SAME_PLACE_MM = 1e-2


def read_saved(path: Path, series: CTSeries) -> npt.NDArray[np.uint8]:
    """Reads segment numbers onto the grid of a series, however its slices lie.

    Args:
        path: A SEG, binary or label map, whose frames lie on slices of the series.
        series: The source.

    Returns:
        (X, Y, Z) on the grid of its image; slices between source slices are as the nearest one.

    Raises:
        InputError: It cannot be read, or lies elsewhere.
    """
    try:
        seg = hd.seg.segread(path)
        frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
        groups = seg.PerFrameFunctionalGroupsSequence
        places = [g.PlanePositionSequence[0].ImagePositionPatient for g in groups]
    except (OSError, InvalidDicomError, AttributeError, ValueError) as error:
        raise InputError(f"Expected a DICOM SEG, cannot read {path}: {error}") from error
    labelmap = seg.SegmentationType == "LABELMAP"
    columns, rows = series.planes.size
    slices = np.zeros((len(series.headers), rows, columns), np.uint8)
    if frames.shape[1:] != (rows, columns):
        raise InputError(
            f"Expected frames of {rows} x {columns} in {path}, found {frames.shape[1:]}"
        )
    for frame, group, index in zip(frames, groups, _nearest(places, series, path), strict=True):
        if labelmap:
            slices[index] = frame
        else:
            number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            slices[index][frame > 0] = number
    return series.planes.to_grid(slices.transpose(2, 1, 0))


def _nearest(places: object, series: CTSeries, path: Path) -> npt.NDArray[np.int64]:
    """The slice on which each frame lies."""
    found = np.asarray(places, np.float64)
    known = np.asarray([header.ImagePositionPatient for header in series.headers], np.float64)
    apart = np.linalg.norm(found[:, None] - known[None], axis=2)
    if apart.min(axis=1).max() > _SAME_PLACE_MM:
        raise InputError(f"Expected the frames of {path} on the slices of the series, found others")
    return np.asarray(apart.argmin(axis=1))
