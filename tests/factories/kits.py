"""Small cases in files as KiTS stores them: axes (z, y, x) that run to I, P, L."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

SPACING = (4.0, 4.0, 5.0)  # mm along R, A, S
Volume = npt.NDArray[Any]


def patient(shape: tuple[int, int, int] = (44, 32, 24)) -> tuple[Volume, Volume]:
    """HU int16 and label uint8 of a body in air, axes R, A, S.

    The right kidney has a tumor and a cyst, and a bone lies beside it.
    """
    hu = np.full(shape, -1000, np.int16)
    hu[3:-3, 3:-3] = -90
    label = np.zeros(shape, np.uint8)
    for left in (7, 27):
        label[left : left + 10, 8:20, 5:19] = 1
    label[29:34, 10:15, 7:12] = 2
    label[30:33, 14:17, 14:17] = 3
    hu[label == 1], hu[label == 2], hu[label == 3] = 160, 80, 10
    hu[38:40, 14:18] = 900
    return hu, label


def kits_affine(spacing: tuple[float, float, float] = SPACING) -> Volume:
    x, y, z = spacing
    return np.array([[0, 0, -x, 0], [0, -y, 0, 0], [-z, 0, 0, 0], [0, 0, 0, 1.0]])


def as_kits(volume: Volume) -> Volume:
    """From axes R, A, S to the order of KiTS."""
    return np.ascontiguousarray(volume[::-1, ::-1, ::-1].transpose(2, 1, 0))


def save(volume: Volume, path: Path, spacing: tuple[float, float, float] = SPACING) -> Path:
    """Writes a volume (R, A, S) as KiTS does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(as_kits(volume), kits_affine(spacing)), path)
    return path


def write_case(
    root: Path, number: int = 0, hu: Volume | None = None, label: Volume | None = None
) -> Path:
    """Writes a case into a KiTS folder."""
    folder = root / f"case_{number:05d}"
    save(patient()[0] if hu is None else hu, folder / "imaging.nii.gz")
    save(patient()[1] if label is None else label, folder / "segmentation.nii.gz")
    return folder


def write_list(path: Path, **lists: list[int]) -> Path:
    """Writes a data list of cases that lie beside it."""
    entries = {
        key: [
            {
                f: f"case_{n:05d}/{g}.nii.gz"
                for f, g in (("image", "imaging"), ("label", "segmentation"))
            }
            for n in numbers
        ]
        for key, numbers in lists.items()
    }
    path.write_text(json.dumps({"name": "kidneys", **entries}))
    return path
