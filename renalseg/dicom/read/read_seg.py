"""Read a DICOM segmentation back into a label map."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt

from renalseg.dicom.read.seg_frames import SAME_PLACE_MM, open_seg
from renalseg.dicom.read.seg_planes import is_volume, sample_planes
from renalseg.errors import InputError
from renalseg.geometry import lps_to_ras
from renalseg.grids import Grid
from renalseg.labels import LABELS


def read_seg(path: Path, grid: Grid) -> npt.NDArray[np.uint8]:
    """The segments of kidneys, tumors and cysts, on a grid.

    Args:
        path: A SEG as `renalseg.dicom.write.seg` writes it.
        grid: Of the label that it is compared with: that of the source series, in any order and
            direction of the axes. Any grid where the source was tilted or unevenly spaced, as no
            grid can be its own: each voxel then gets the label of the nearest source pixel.

    Returns:
        (X, Y, Z) on the grid: 0 background, 1 kidney, 2 tumor, 3 cyst.

    Raises:
        InputError: It cannot be read, holds other segments, or lies on another grid.
    """
    seg = open_seg(path)
    kinds = _kinds(seg, path)
    if not is_volume(seg):
        return kinds[sample_planes(seg, grid)]
    target = hd.VolumeGeometry(lps_to_ras(grid.affine), grid.shape, "PATIENT")
    try:
        volume = seg.get_volume(combine_segments=True, dtype=np.uint8, skip_overlap_checks=True)
        on_grid = volume.match_geometry(target, tol=SAME_PLACE_MM)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"Expected {path} on the grid of its label, with shape {grid.shape} and affine "
            f"{grid.affine.tolist()}: {error}"
        ) from error
    return np.ascontiguousarray(kinds[on_grid.array])


def _kinds(seg: hd.seg.Segmentation, path: Path) -> npt.NDArray[np.uint8]:
    """The label of each segment number."""
    by_code = {info.type.value: label for label, info in LABELS.items()}
    kinds = np.zeros(max(seg.segment_numbers) + 1, np.uint8)
    for number in seg.segment_numbers:
        code = seg.get_segment_description(number).segmented_property_type.value
        if code not in by_code:
            raise InputError(
                f"Expected segments of the types {sorted(by_code)} in {path}, found {code}"
            )
        kinds[number] = by_code[code]
    return kinds
