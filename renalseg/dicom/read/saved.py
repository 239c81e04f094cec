"""Read a segmentation back for the series that it was made of, by the places of its frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from renalseg.dicom.read.seg_frames import SAME_PLACE_MM, numbered_frames, open_seg
from renalseg.dicom.read.series import CTSeries
from renalseg.errors import InputError
from renalseg.geometry import Array


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
    seg = open_seg(path)
    columns, rows = series.planes.size
    if (seg.Rows, seg.Columns) != (rows, columns):
        raise InputError(
            f"Expected frames of {rows} x {columns} in {path}, found {seg.Rows} x {seg.Columns}"
        )
    frames, places = numbered_frames(seg)
    slices = np.zeros((len(series.headers), rows, columns), np.uint8)
    for frame, index in zip(frames, _nearest(places, series, path), strict=True):
        np.maximum(slices[index], frame, out=slices[index])
    return series.planes.to_grid(slices.transpose(2, 1, 0))


def _nearest(places: Array, series: CTSeries, path: Path) -> npt.NDArray[np.int64]:
    """The slice on which each frame lies."""
    known = np.asarray([header.ImagePositionPatient for header in series.headers], np.float64)
    apart = np.linalg.norm(places[:, None] - known[None], axis=2)
    if apart.min(axis=1).max() > SAME_PLACE_MM:
        raise InputError(f"Expected the frames of {path} on the slices of the series, found others")
    return np.asarray(apart.argmin(axis=1))
