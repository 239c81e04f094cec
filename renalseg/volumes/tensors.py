"""Volumes as tensors, with the values that their files hold."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor

from renalseg.errors import InputError
from renalseg.volumes import nifti
from renalseg.volumes.files import open_volume, suffix_of
from renalseg.volumes.stored import check_affine


def load_volume(path: Path, dtype: torch.dtype) -> MetaTensor:
    """A volume (1, X, Y, Z) in NIfTI, NRRD or MetaImage, affine in RAS mm.

    Raises:
        InputError: It cannot be read, is not three-dimensional, or its axes are not orthogonal.
    """
    if suffix_of(path).lower() in nifti.SUFFIXES:
        return load_nifti(path, dtype)
    stored = open_volume(path)
    if len(stored.shape) != 3:
        raise InputError(f"Expected a volume with 3 axes, found shape {stored.shape} in {path}")
    check_affine(stored.affine, stored.shape, str(path))
    return _tensor(stored.values(), stored.affine, dtype)


def load_nifti(path: Path, dtype: torch.dtype) -> MetaTensor:
    """A NIfTI volume (1, X, Y, Z).

    Raises:
        InputError: It cannot be read, is not three-dimensional, or its axes are not orthogonal.
    """
    try:
        image: Any = nib.load(path)
        values = np.asanyarray(image.dataobj)
    except (OSError, EOFError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        raise InputError(f"Expected a NIfTI volume, cannot read {path}: {error}") from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise InputError(f"Expected a volume with 3 axes, found shape {values.shape} in {path}")
    with np.errstate(invalid="ignore"):
        steps = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    if not np.abs(steps.T @ steps - np.eye(3)).max() <= 1e-3:  # NaN, of a zero axis, fails too
        raise InputError(f"Expected orthogonal axes, found a sheared affine in {path}")
    return _tensor(values, image.affine, dtype)


def _tensor(values: Any, affine: Any, dtype: torch.dtype) -> MetaTensor:
    numpy_dtype = torch.empty(0, dtype=dtype).numpy().dtype
    tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=numpy_dtype))
    return MetaTensor(tensor[None], affine=torch.from_numpy(np.array(affine, np.float64)))
