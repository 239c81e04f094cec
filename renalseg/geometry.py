"""Affines, and the one place where DICOM's LPS frame meets the library's RAS frame.

Volumes are indexed (X, Y, Z): X is the column index of a DICOM slice, Y its row index, Z the index
of the slice. An affine is a (4, 4) float64 matrix from voxel indices to world coordinates in mm; an
integer index is the center of a voxel. In RAS the world axes grow toward the patient's right,
anterior and superior; in LPS toward left, posterior and superior.
"""

from __future__ import annotations

from typing import NamedTuple

import nibabel as nib
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_DIGITS = 6  # of a spacing that was written as text after it had gone through float32
_EXACT = 1e-11  # relative; less is the rounding of float64
_FRACTIONS = 1 << 16  # multiples of its inverse were meant as they are
_FLIP_XY = np.diag([-1.0, -1.0, 1.0, 1.0])


class DicomGeometry(NamedTuple):
    """Where the slices of a series lie, in the words and the LPS frame of DICOM.

    Attributes:
        orientation: ImageOrientationPatient (6,): direction of a row, then direction of a column.
        position: ImagePositionPatient (3,) of the first slice, in mm.
        pixel_spacing: PixelSpacing (2,): distance between rows, then between columns, in mm.
        slice_step: Vector (3,) from one slice to the next, in mm.
    """

    orientation: Array
    position: Array
    pixel_spacing: Array
    slice_step: Array


def lps_to_ras(affine: npt.ArrayLike) -> Array:
    """Turn a voxel-to-LPS affine into a voxel-to-RAS affine, or back: it is its own inverse.

    Args:
        affine: (4, 4) voxel-to-world affine in mm.

    Returns:
        The same mapping with the first two world axes reversed, (4, 4) float64.
    """
    return _FLIP_XY @ np.asarray(affine, dtype=np.float64)


def affine_from_dicom(
    orientation: npt.ArrayLike,
    position: npt.ArrayLike,
    pixel_spacing: npt.ArrayLike,
    slice_step: npt.ArrayLike,
) -> Array:
    """Build the voxel-to-RAS affine of a series (DICOM PS3.3, C.7.6.2.1.1).

    PixelSpacing is (between rows, between columns), so its second value belongs to X and its first
    to Y.

    Args:
        orientation: ImageOrientationPatient (6,), LPS.
        position: ImagePositionPatient (3,) of slice 0, LPS mm.
        pixel_spacing: PixelSpacing (2,) in mm.
        slice_step: Vector (3,) from slice 0 to slice 1, LPS mm.

    Returns:
        (4, 4) float64 affine from (X, Y, Z) indices to RAS mm.
    """
    row, column = np.asarray(orientation, dtype=np.float64).reshape(2, 3)
    between_rows, between_columns = np.asarray(pixel_spacing, dtype=np.float64)
    affine = np.eye(4)
    affine[:3, 0] = row * between_columns
    affine[:3, 1] = column * between_rows
    affine[:3, 2] = slice_step
    affine[:3, 3] = position
    return lps_to_ras(affine)


def as_meant(affine: npt.ArrayLike) -> Array:
    """Turn the numbers of an affine that went through float32 into those that were meant.

    0.743 becomes 0.7429999709 there, in NIfTI files and in DICOM files that were made of them. So
    one series gives the same voxels, wherever it comes from. Fractions such as 471 / 512 pass
    float32 as they are, and are kept.

    Args:
        affine: (4, 4).

    Returns:
        The affine, (4, 4) float64, none of whose numbers differs by more than float32 may.
    """
    given = np.asarray(affine, dtype=np.float64)
    with np.errstate(over="ignore"):
        return np.array([[_meant(value) for value in row] for row in given.tolist()])


def _meant(value: float) -> float:
    single = np.float32(value)
    meant = float(str(single)) if float(single) == value else float(f"{value:.{_DIGITS}g}")
    off = abs(meant - value)
    exact = off <= _EXACT * abs(value) or value * _FRACTIONS % 1 == 0
    return value if exact or off > np.finfo(np.float32).eps * abs(value) else meant


def dicom_from_affine(affine: npt.ArrayLike) -> DicomGeometry:
    """Take a voxel-to-RAS affine apart into DICOM attributes; the inverse of `affine_from_dicom`.

    Args:
        affine: (4, 4) affine from (X, Y, Z) indices to RAS mm.

    Returns:
        The geometry in LPS.
    """
    lps = lps_to_ras(affine)
    size_x, size_y, _ = spacing_of(lps)
    orientation = np.concatenate([lps[:3, 0] / size_x, lps[:3, 1] / size_y])
    return DicomGeometry(
        orientation, lps[:3, 3].copy(), np.array([size_y, size_x]), lps[:3, 2].copy()
    )


def slice_normal(orientation: npt.ArrayLike) -> Array:
    """Give the unit normal (3,) of the slice plane: row direction crossed with column direction."""
    row, column = np.asarray(orientation, dtype=np.float64).reshape(2, 3)
    normal = np.cross(row, column)
    return np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)


def spacing_of(affine: npt.ArrayLike) -> Array:
    """Give the voxel size (3,) in mm, in the order of the array axes."""
    matrix = np.asarray(affine, dtype=np.float64)
    return np.asarray(np.linalg.norm(matrix[:3, :3], axis=0), dtype=np.float64)


def voxel_volume_mm3(affine: npt.ArrayLike) -> float:
    """Give the volume of one voxel in mm3."""
    return float(abs(np.linalg.det(np.asarray(affine, dtype=np.float64)[:3, :3])))


def axis_codes(affine: npt.ArrayLike) -> tuple[str, str, str]:
    """Name the direction in which each array axis grows; ("L", "P", "S") for a plain axial CT."""
    x, y, z = nib.orientations.aff2axcodes(np.asarray(affine, dtype=np.float64))
    return (x, y, z)


def to_world(affine: npt.ArrayLike, index: npt.ArrayLike) -> Array:
    """Map voxel indices to world coordinates.

    Args:
        affine: (4, 4) voxel-to-world affine.
        index: Indices (..., 3); fractions are allowed.

    Returns:
        World coordinates (..., 3) in mm, in the frame of the affine.
    """
    matrix = np.asarray(affine, dtype=np.float64)
    return np.asarray(
        np.asarray(index, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3], dtype=np.float64
    )


def to_index(affine: npt.ArrayLike, world: npt.ArrayLike) -> Array:
    """Map world coordinates (..., 3) in mm to fractional indices (..., 3); inverts `to_world`."""
    return to_world(np.linalg.inv(np.asarray(affine, dtype=np.float64)), world)
