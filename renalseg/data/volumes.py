"""Labeled NIfTI pairs as arrays: read in slabs, turned to R, A, S, and checked."""

from __future__ import annotations

import itertools
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from renalseg.data.case_lists import LabeledCase
from renalseg.errors import InputError
from renalseg.geometry import Array

LABELS = "0 background, 1 kidney, 2 tumor, 3 cyst"
LOWEST_HU = -1024

_SLAB = 64  # planes per read: some files hold float64, and one CT of that fills 1.6 GB
_SHEAR = 1e-3
_LABELS = 4


def open_nifti(path: Path) -> Any:
    """Opens a NIfTI file without reading its voxels.

    Raises:
        InputError: It cannot be read, or does not have three axes at right angles.
    """
    try:
        # kept open, because otherwise each slab is unpacked from the start
        image: Any = nib.load(path, keep_file_open=True)
    except (OSError, EOFError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        raise InputError(f"Expected a NIfTI volume, cannot read {path}: {error}") from error
    if len(image.shape) < 3 or any(n != 1 for n in image.shape[3:]):
        raise InputError(f"Expected a volume with 3 axes, found shape {image.shape} in {path}")
    with np.errstate(invalid="ignore"):
        steps = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    if not np.abs(steps.T @ steps - np.eye(3)).max() <= _SHEAR:  # NaN, of a zero axis, fails too
        raise InputError(f"Expected orthogonal axes, found a sheared affine in {path}")
    return image


def read_hu(path: Path) -> npt.NDArray[np.int16]:
    """Reads HU (I, J, K) int16 in the order of the file, clipped to the lowest value of a scanner.

    Raises:
        InputError: The file cannot be read, or a voxel is not a finite number.
    """
    return _read(path, np.int16, LOWEST_HU, np.iinfo(np.int16).max)


def read_label(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a label map (I, J, K) uint8 in the order of the file; values beyond a byte become 255.

    Raises:
        InputError: The file cannot be read, or a voxel is not a finite number.
    """
    return _read(path, np.uint8, 0, 255)


def unknown_labels(label: npt.NDArray[np.uint8]) -> list[int]:
    """Returns the undefined values of a label map."""
    counts = np.bincount(label.ravel(order="K"), minlength=_LABELS)
    return (_LABELS + np.flatnonzero(counts[_LABELS:])).tolist()


def orientation_of(image: Any) -> Array:
    """The world axis and direction of each axis of a file, in nibabel's form."""
    return np.asarray(nib.orientations.io_orientation(image.affine))


def to_ras(values: npt.NDArray[Any], orientation: Array) -> npt.NDArray[Any]:
    """A view of a volume whose axes run nearest to R, A, S."""
    return np.asarray(nib.orientations.apply_orientation(values, orientation))


def mismatch(image: Any, label: Any) -> str | None:
    """Describes how the grids of two files differ; None if they are the same.

    Corners may lie half a voxel apart, because affines stored as quaternions are rounded.
    """
    shape, other = image.shape[:3], label.shape[:3]
    if shape != other:
        return f"image has shape {shape}, label {other}"
    corners = np.array(list(itertools.product(*((0, n - 1) for n in shape))))
    distance = nib.affines.apply_affine(image.affine, corners)
    distance = np.linalg.norm(distance - nib.affines.apply_affine(label.affine, corners), axis=1)
    if distance.max() > 0.5 * min(nib.affines.voxel_sizes(image.affine)):
        return f"corners of image and label lie up to {distance.max():.1f} mm apart"
    return None


def open_pair(case: LabeledCase) -> tuple[Any, Any]:
    """Opens image and label of a case without reading their voxels.

    Raises:
        InputError: One of them cannot be read, or their grids differ.
    """
    image, label = open_nifti(case.image), open_nifti(case.label)
    if found := mismatch(image, label):
        raise InputError(f"Expected image and label of {case.name} on one grid, found: {found}")
    return image, label


def _read(path: Path, dtype: Any, low: int, high: int) -> npt.NDArray[Any]:
    image = open_nifti(path)
    rest = (0,) * (len(image.shape) - 3)
    values = np.empty(image.shape[:3], dtype, order="F")  # as the file has them
    try:
        for start in range(0, values.shape[2], _SLAB):
            slab = np.asanyarray(image.dataobj[:, :, start : start + _SLAB, *rest])
            if slab.dtype.kind == "f" and not np.isfinite(slab).all():
                raise InputError(f"Expected numbers, found voxels that are not in {path}")
            values[:, :, start : start + _SLAB] = np.rint(slab.clip(low, high))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"Expected a whole NIfTI volume, cannot read {path}: {error}") from error
    return values
