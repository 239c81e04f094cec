"""Reads a saved segmentation back: onto a grid, or onto the slices of the series it was made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from renalseg.components import Mask
from renalseg.dicom.read.series import CTSeries
from renalseg.dicom.read.slice_spacing import GAP_FACTOR, SAME_PLACE_MM
from renalseg.errors import InputError
from renalseg.geometry import Array, lps_to_ras, slice_normal, to_world
from renalseg.grids import Grid
from renalseg.labels import LABELS, Tracking

Labels = npt.NDArray[np.uint8]
_OF_SOURCE = ["Modality", "StudyInstanceUID", "ReferencedSeriesSequence"]


def read_seg(path: Path, grid: Grid) -> Labels:
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
    seg = _open_seg(path)
    kinds = _kinds(seg, path)
    if not _is_volume(seg):
        return kinds[_sample_planes(seg, grid)]
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


def read_saved(path: Path, series: CTSeries, values: Labels | None = None) -> Labels:
    """Reads segment numbers onto the grid of a series, however its slices lie.

    Args:
        path: A SEG, binary or label map, whose frames lie on slices of the series.
        series: The source.
        values: (256,) what each segment number becomes; None keeps the numbers. Where segments
            overlap, the largest counts.

    Returns:
        (X, Y, Z) on the grid of its image; slices between source slices are as the nearest one.

    Raises:
        InputError: It cannot be read, or lies elsewhere.
    """
    seg = _open_seg(path)
    columns, rows = series.planes.size
    if (seg.Rows, seg.Columns) != (rows, columns):
        raise InputError(
            f"Expected frames of {rows} x {columns} in {path}, found {seg.Rows} x {seg.Columns}"
        )
    frames, places = _numbered_frames(seg)
    if values is not None:
        frames = values[frames]
    slices = np.zeros((len(series.headers), rows, columns), np.uint8)
    for frame, index in zip(frames, _nearest(places, series, path), strict=True):
        np.maximum(slices[index], frame, out=slices[index])
    return series.planes.to_grid(slices.transpose(2, 1, 0))


def read_segments(path: Path, series: CTSeries) -> Iterator[tuple[int, str, str, Mask]]:
    """Reads each segment of a segmentation that another program wrote.

    Segments may overlap and have any numbers, frames any order; names, codes and empty frames may
    be missing.

    Args:
        path: A SEG, binary or label map, whose frames lie on slices of the series.
        series: The source.

    Yields:
        Number, name, value of the type's code ("" where there is none), and mask (X, Y, Z) on the
        grid of the image, of each segment that is not empty.

    Raises:
        InputError: It cannot be read, is FRACTIONAL, or lies elsewhere.
    """
    seg = _open_seg(path)
    if seg.SegmentationType == "FRACTIONAL":
        raise InputError(f"Expected outlines in {path}, found a FRACTIONAL segmentation")
    columns, rows = series.planes.size
    if (seg.Rows, seg.Columns) != (rows, columns):
        raise InputError(
            f"Expected frames of {rows} x {columns} in {path}, found {seg.Rows} x {seg.Columns}"
        )
    frames, places = _numbered_frames(seg)
    levels = _nearest(places, series, path)
    for item in seg.SegmentSequence:
        number = int(item.SegmentNumber)
        slices = np.zeros((len(series.headers), rows, columns), np.uint8)
        for frame, level in zip(frames, levels, strict=True):
            slices[level] |= frame == number
        if slices.any():
            types = item.get("SegmentedPropertyTypeCodeSequence") or [Dataset()]
            mask = series.planes.to_grid(slices.transpose(2, 1, 0)) > 0
            name, code = item.get("SegmentLabel", ""), types[0].get("CodeValue", "")
            yield number, str(name), str(code), mask


def read_alone(path: Path) -> tuple[Labels, Array]:
    """Reads segment numbers without the source, on a regular grid over the frames.

    Args:
        path: A SEG, binary or label map.

    Returns:
        (X, Y, Z) and the affine (4, 4) of their grid, to RAS mm. Where the frames are unevenly
        spaced, each slice of the grid is as the nearest frame.

    Raises:
        InputError: It cannot be read.
    """
    planes = _planes_of(_open_seg(path))
    steps = np.diff(planes.heights)
    step = float(steps.min()) if len(steps) else float(planes.reach.sum())
    levels = max(1, round(float(np.ptp(planes.heights)) / step) + 1)
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = planes.axes
    lps[:3, 2] = slice_normal(planes.axes) * step
    lps[:3, 3] = planes.corners[0]
    rows, columns = planes.numbers.shape[1:]
    grid = Grid((columns, rows, levels), lps_to_ras(lps))
    return _sample(planes, grid), grid.affine


def segment_texts(path: Path) -> dict[int, str]:
    """What a segmentation calls its segments: label and type, by number.

    Raises:
        InputError: It cannot be read, or has no segments.
    """
    seg = _open_seg(path)
    texts = {}
    for number in seg.segment_numbers:
        segment = seg.get_segment_description(number)
        texts[int(number)] = f"{segment.segment_label}, {segment.segmented_property_type.meaning}"
    if not texts:
        raise InputError(f"Expected segments in {path}, found none")
    return texts


def trackings(path: Path) -> dict[int, Tracking]:
    """What a segmentation calls its segments across studies, by number; not all may have it.

    Raises:
        InputError: It cannot be read.
    """
    seg = _open_seg(path)
    found = {}
    for number in seg.segment_numbers:
        segment = seg.get_segment_description(number)
        if segment.tracking_uid and segment.tracking_id:
            found[int(number)] = Tracking(str(segment.tracking_uid), str(segment.tracking_id))
    return found


def source_uids(path: Path) -> tuple[str, ...] | None:
    """The UIDs of the study and of the series that a segmentation is of.

    Returns:
        None if the file is no segmentation, or cannot be read.
    """
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=_OF_SOURCE)
    except (OSError, InvalidDicomError, AttributeError, ValueError):
        return None
    if header.get("Modality") != "SEG":
        return None
    series = (item.get("SeriesInstanceUID") for item in header.get("ReferencedSeriesSequence", ()))
    uids = (header.get("StudyInstanceUID"), *series)
    return tuple(str(uid) for uid in uids if uid)


def _open_seg(path: Path) -> hd.seg.Segmentation:
    """Opens a segmentation.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return hd.seg.segread(path)
    except (OSError, InvalidDicomError, AttributeError, ValueError) as error:
        raise InputError(f"Expected a DICOM SEG, cannot read {path}: {error}") from error


def _numbered_frames(seg: hd.seg.Segmentation) -> tuple[Labels, Array]:
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
        raise InputError(f"Expected frames with positions in a DICOM SEG: {error}") from error
    return frames, places


def _kinds(seg: hd.seg.Segmentation, path: Path) -> Labels:
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


def _nearest(places: Array, series: CTSeries, path: Path) -> npt.NDArray[np.int64]:
    """The slice on which each frame lies."""
    known = np.asarray([header.ImagePositionPatient for header in series.headers], np.float64)
    apart = np.linalg.norm(places[:, None] - known[None], axis=2)
    if apart.min(axis=1).max() > SAME_PLACE_MM:
        raise InputError(f"Expected the frames of {path} on the slices of the series, found others")
    return np.asarray(apart.argmin(axis=1))


def _is_volume(seg: hd.seg.Segmentation) -> bool:
    """Whether the frames are slices of one regular volume, empty ones left out.

    Slices 3 mm apart next to others 1.5 mm apart look like a volume with empty frames; the number
    of source slices tells them apart.
    """
    volume = seg.get_volume_geometry()
    if volume is None:
        return False
    sources = sum(len(item.ReferencedInstanceSequence) for item in seg.ReferencedSeriesSequence)
    return sources <= 1 or volume.spatial_shape[0] <= sources


def _sample_planes(seg: hd.seg.Segmentation, grid: Grid) -> Labels:
    """Segment numbers of the nearest frame at each voxel of a grid.

    Args:
        seg: Frames on parallel planes, anywhere along their normal.
        grid: Any, in RAS mm.

    Returns:
        (X, Y, Z) uint8 on the grid, 0 where there is no frame near.
    """
    return _sample(_planes_of(seg), grid)


def _sample(planes: _Planes, grid: Grid) -> Labels:
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
    frames, places = _numbered_frames(seg)
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
        alone: Thickness of a plane without a neighbor.
    """
    steps = np.diff(heights)
    if not len(steps):
        return np.array([[alone, alone]]) / 2
    below, above = np.append(steps[0], steps), np.append(steps, steps[-1])
    widest = GAP_FACTOR * np.stack([above, below], axis=1)
    return np.asarray(np.minimum(np.stack([below, above], axis=1), widest) / 2)
