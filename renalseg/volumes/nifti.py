"""NIfTI files and nibabel's images."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from renalseg.errors import InputError
from renalseg.geometry import Array, as_meant, to_world
from renalseg.volumes.stored import Stored, Values

SUFFIXES = (".nii.gz", ".nii")
_DAMAGE = (
    *(OSError, EOFError, zlib.error, ValueError, OverflowError, KeyError),
    *(nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError),
)
_SAME_PLACE_MM = 1.0
_UNITS = ("mm", "unknown")


def open_nifti(path: Path) -> Stored:
    """Opens a NIfTI file; reads its header alone.

    Raises:
        InputError: It is none, or its header is damaged or does not say where it lies.
    """
    try:
        image: Any = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):  # NIfTI-2 is one, too
            raise nib.filebasedimages.ImageFileError(type(image).__name__)
        units = image.header.get_xyzt_units()[0]
        forms = [image.get_sform(coded=True), image.get_qform(coded=True)]
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    if units not in _UNITS:
        raise InputError(f"expected a volume in mm, found the unit {units} in {path}")
    placed = [affine for affine, code in forms if code]
    if not placed:
        raise InputError(
            f"expected a qform or sform that says where the voxels lie, found none in {path}: "
            "left and right are unknown; convert the series again, or give the DICOM files"
        )
    _refuse_two_places(placed, image.shape[:3], path)
    return of_nibabel(image, str(path))


def of_nibabel(image: Any, where: str) -> Stored:
    """Takes an image of nibabel, with its affine in RAS.

    Args:
        image: A ``nibabel.spatialimages.SpatialImage``.
        where: What messages call it.

    Raises:
        InputError: It has no affine.
    """
    if image.affine is None:
        raise InputError(f"expected an image with an affine, found none in {where}")

    shape = tuple(int(size) for size in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]

    def values() -> Values:
        try:
            read = image.get_fdata(dtype=np.float32, caching="unchanged")
        except _DAMAGE as error:
            raise _damaged(where, error) from error
        # what the caller holds is not changed
        read = np.array(read) if isinstance(image.dataobj, np.ndarray) else read
        return np.asarray(read.reshape(shape, order="F"))

    slope, intercept = getattr(image.header, "get_slope_inter", lambda: (None, None))()
    return Stored(
        where,
        shape,
        as_meant(np.asarray(image.affine, np.float64)),
        values,
        image.get_data_dtype(),
        is_scaled=slope not in (None, 1) or intercept not in (None, 0),
    )


def save_nifti(
    values: npt.NDArray[np.uint8], affine: Array, path: Path, slope: float | None = None
) -> None:
    """Writes a map (X, Y, Z) on a grid in RAS mm; the same arguments give the same bytes.

    Args:
        values: What is stored.
        affine: (4, 4) of the grid.
        path: The file.
        slope: By which readers multiply what is stored.
    """
    image = nib.Nifti1Image(values, affine)
    image.header.set_slope_inter(slope, None if slope is None else 0)
    image.set_qform(affine, code="scanner")
    image.set_sform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def _refuse_two_places(placed: Sequence[Array], shape: Sequence[int], path: Path) -> None:
    """Refuses a file whose sform and qform contradict each other: programs read it differently."""
    far = np.array(list(product(*([0, size - 1] for size in shape))))
    if len(placed) < 2 or far.shape[1] < 3:
        return
    sform, qform = (to_world(affine, far) for affine in placed)
    apart = float(np.linalg.norm(sform - qform, axis=1).max())
    if not apart <= _SAME_PLACE_MM:
        raise InputError(
            f"expected one place of the voxels, found sform and qform {apart:.0f} mm apart in "
            f"{path}: convert the series again, or give the DICOM files"
        )


def _damaged(where: Path | str, error: Exception) -> InputError:
    return InputError(
        f"expected a NIfTI volume, cannot read {where}: it is damaged, truncated or none "
        f"({type(error).__name__})"
    )
