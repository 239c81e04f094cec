"""A small CT of a body as simple as its HU allow: air, a ring of fat, soft tissue, a spine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom

from renalseg.dicom.write.ct import write_ct_series

SHAPE = (64, 64, 12)
SPACING = (5.0, 5.0, 5.0)


def draw_body(*, seed: int = 0) -> npt.NDArray[np.int16]:
    """HU (X, Y, Z) with noise; a kidney-like block on each side is brighter than what is around."""
    x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE[:2]), indexing="ij")
    out = (x / 0.85) ** 2 + (y / 0.65) ** 2
    hu = np.full(SHAPE[:2], -1000.0)
    hu[out < 1] = -100
    hu[out < 0.7] = 50
    hu[(abs(x) < 0.12) & (abs(y - 0.35) < 0.12)] = 500
    hu[(abs(abs(x) - 0.35) < 0.1) & (abs(y - 0.2) < 0.12)] = 160
    noise = np.random.default_rng(seed).normal(0, 12, SHAPE)
    return np.clip(hu[..., None] + noise, -1024, 3000).round().astype(np.int16)


def write_body(folder: Path, hu: npt.NDArray[np.int16] | None = None, **tags: object) -> list[Path]:
    """Write a body as signed HU without an intercept; tags by DICOM keyword replace the rest.

    Args:
        folder: Gets the files.
        hu: What is stored, (X, Y, Z), whatever it means; `draw_body` by default.
        tags: Values of all slices.
    """
    stored = draw_body() if hu is None else hu
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    paths = write_ct_series(folder, np.zeros(SHAPE, np.int16), affine, seed=str(sorted(tags)))
    for z, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 15, 1
        dataset.RescaleIntercept = "0"
        dataset.StudyInstanceUID = "1.2.9"
        for keyword, value in tags.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        dataset.PixelData = np.ascontiguousarray(stored[:, :, z].T).astype("<i2").tobytes()
        dataset.save_as(path)
    return paths
