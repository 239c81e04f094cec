"""Labels of a segmentation whose frames form no regular volume: a tilted or uneven source."""

from __future__ import annotations

from typing import NamedTuple

import highdicom as hd
import numpy as np
import numpy.typing as npt

from renalseg.dicom.read.seg_frames import numbered_frames
from renalseg.dicom.read.slice_spacing import GAP_FACTOR
from renalseg.geometry import Array, lps_to_ras, slice_normal, to_world
from renalseg.grids import Grid

Labels = npt.NDArray[np.uint8]


def is_volume(seg: hd.seg.Segmentation) -> bool:
    """Whether the frames are slices of one regular volume, empty ones left out.

    Slices 3 mm apart beside others 1.5 mm apart look like a volume with empty frames; the number
    of source slices tells them apart.
    """
    volume = seg.get_volume_geometry()
    if volume is None:
        return False
    sources = sum(len(item.ReferencedInstanceSequence) for item in seg.ReferencedSeriesSequence)
    return sources <= 1 or volume.spatial_shape[0] <= sources


def sample_planes(seg: hd.seg.Segmentation, grid: Grid) -> Labels:
    """Segment numbers of the nearest frame at each voxel of a grid.

    Args:
        seg: Frames on parallel planes, anywhere along their normal.
        grid: Any, in RAS mm.

    Returns:
        (X, Y, Z) uint8 on the grid, 0 where there is no frame near.
    """
    planes = _planes_of(seg)
    lps = lps_to_ras(grid.affine)
    sampled = np.zeros(grid.shape, dtype=np.uint8)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape[:2]), [0], indexing="ij"), axis=-1)
    for z in range(grid.shape[2]):
        sampled[:, :, z] = planes.at(to_world(lps, index[:, :, 0] + [0, 0, z]))
    return sampled


class _Planes(NamedTuple):
    """Frames on parallel planes, LPS mm.

    Attributes:
        numbers: (P, rows, columns) segment numbers.
        corners: (P, 3) first pixels, by height.
        axes: (2, 3) from pixel to pixel along a row, along a column.
        heights: (P,) along the normal, ascending.
        reach: (P, 2) how far a plane reaches below and above itself.
    """

    numbers: Labels
    corners: Array
    axes: Array
    heights: Array
    reach: Array

    def at(self, points: Array) -> Labels:
        """Segment numbers (...) at points (..., 3)."""
        height = points @ slice_normal(self.axes)
        nearest = np.searchsorted((self.heights[1:] + self.heights[:-1]) / 2, height)
        off = height - self.heights[nearest]
        pixel = np.rint((points - self.corners[nearest]) @ np.linalg.pinv(self.axes)).astype(int)
        rows, columns = self.numbers.shape[1:]
        inside = ((pixel >= 0) & (pixel < [columns, rows])).all(axis=-1)
        inside &= (off >= -self.reach[nearest, 0]) & (off <= self.reach[nearest, 1])
        found = np.zeros(height.shape, dtype=np.uint8)
        column, row = pixel[inside].T
        found[inside] = self.numbers[nearest[inside], row, column]
        return found


def _planes_of(seg: hd.seg.Segmentation) -> _Planes:
    shared = seg.SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    axes = orientation.reshape(2, 3) * np.array(measures.PixelSpacing, float)[::-1, None]
    frames, places = numbered_frames(seg)
    corners, plane_of = np.unique(places, axis=0, return_inverse=True)
    numbers = np.zeros((len(corners), *frames.shape[1:]), np.uint8)
    for plane, frame in zip(plane_of.ravel(), frames, strict=True):
        np.maximum(numbers[plane], frame, out=numbers[plane])
    heights = corners @ slice_normal(orientation)
    order = np.argsort(heights)
    reach = _reach(heights[order], float(measures.get("SliceThickness") or 1))
    return _Planes(numbers[order], corners[order], axes, heights[order], reach)


def _reach(heights: Array, alone: float) -> Array:
    """Half of the steps (P, 2) below and above planes; empty frames between them count for none.

    Args:
        heights: (P,) of the planes, ascending.
        alone: Thickness of a plane that has no other beside it.
    """
    steps = np.diff(heights)
    if not len(steps):
        return np.array([[alone, alone]]) / 2
    below, above = np.append(steps[0], steps), np.append(steps, steps[-1])
    widest = GAP_FACTOR * np.stack([above, below], axis=1)
    return np.asarray(np.minimum(np.stack([below, above], axis=1), widest) / 2)
