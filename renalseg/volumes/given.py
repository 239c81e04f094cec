"""Volumes in memory: arrays, and the images of MONAI, nibabel and SimpleITK."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from monai.data import MetaTensor
from monai.utils import SpaceKeys

from renalseg.errors import InputError
from renalseg.geometry import as_meant, lps_to_ras
from renalseg.volumes.nifti import of_nibabel
from renalseg.volumes.stored import Stored

WHERE = "the given volume"


def of_given(given: Any, affine: npt.ArrayLike | None = None) -> Stored:
    """Takes a volume in memory.

    Args:
        given: HU as a NumPy array or a tensor (X, Y, Z) or (1, X, Y, Z), a MetaTensor, an image of
            nibabel, or an image of SimpleITK.
        affine: (4, 4) from voxel centers to RAS mm, of an array or a tensor that has none.

    Raises:
        InputError: It is of another kind, or has no affine.
    """
    own = _of_image(given)
    if own is not None:
        if affine is not None:
            raise InputError(
                f"expected no affine beside an image that has its own, found one beside a "
                f"{type(given).__name__}"
            )
        return own
    if not hasattr(given, "__array__"):
        raise InputError(
            "expected a path, an array with its affine, a MetaTensor, or an image of nibabel or "
            f"SimpleITK, found a {type(given).__name__}"
        )
    if affine is None:
        raise InputError(
            "expected an affine beside an array, which says where its voxels lie: (4, 4), from "
            "voxel centers to RAS mm"
        )
    return _of_array(given, affine)


def _of_image(given: Any) -> Stored | None:
    if isinstance(given, MetaTensor):
        matrix = np.asarray(given.affine.cpu(), np.float64)
        if given.meta.get("space") == SpaceKeys.LPS:
            matrix = lps_to_ras(matrix)
        return _of_array(given.as_tensor(), matrix)
    if hasattr(given, "get_fdata"):
        return of_nibabel(given, WHERE)
    if hasattr(given, "GetDirection"):
        from renalseg.volumes.itk import of_simpleitk

        return of_simpleitk(given, WHERE)
    return None


def _of_array(given: Any, affine: npt.ArrayLike) -> Stored:
    values = np.asarray(given.cpu() if hasattr(given, "cpu") else given)
    if values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    return Stored(
        WHERE,
        values.shape,
        as_meant(np.asarray(affine, np.float64)),
        # a copy: corrections are made in place
        lambda: np.array(values, dtype=np.float32, order="F"),
        values.dtype,
    )
