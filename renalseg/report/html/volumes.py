"""CT and segments of a page: cropped, compressed, and of bounded size."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import numpy.typing as npt
from monai.data import MetaTensor

from renalseg.components import bounding_box, grow_box
from renalseg.geometry import Array, spacing_of, to_world

MARGIN_MM = 30.0
MOST_BYTES = 14_000_000  # of the compressed CT: 19 MB in the page
_MOST_VOXELS = 24_000_000  # so that compressing never takes long
_HU = (-1024, 3071)


@dataclass(frozen=True)
class Volumes:
    """Two compressed NIfTI files on parallel grids in RAS mm.

    Attributes:
        ct: HU, int16.
        labels: Segment numbers, uint8, at full resolution.
        spacing: Voxel size (3,) of the CT in the file, in mm, in the order of the array axes.
        coarser: Whether that is coarser than the source, because the CT was too large.
    """

    ct: bytes
    labels: bytes
    spacing: Array
    coarser: bool


def pack_volumes(
    image: MetaTensor, segmented: npt.NDArray[np.uint8], *, most_bytes: int = MOST_BYTES
) -> Volumes:
    """Crops a CT to what was found and `MARGIN_MM` around it, and makes it fit.

    Where the compressed CT would be larger than `most_bytes`, pairs of voxels are averaged along
    the axis of the finest spacing, as often as it takes. Where nothing was found, all is kept.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm.
        segmented: Segment numbers (X, Y, Z) on its grid.
        most_bytes: Bound of the compressed CT.
    """
    affine = np.asarray(image.affine, dtype=np.float64)
    box = bounding_box(segmented)
    if box is None:
        x, y, z = (slice(0, size) for size in segmented.shape)
        box = (x, y, z)
    box = grow_box(box, MARGIN_MM / spacing_of(affine), segmented.shape)
    local = _moved(affine, [part.start for part in box])
    for hu, own in _coarser_and_coarser(image[0][box].numpy(), local):
        if hu.size > _MOST_VOXELS:
            continue
        ct = _nifti(np.clip(np.rint(hu), *_HU).astype(np.int16), own)
        if len(ct) <= most_bytes:
            break
    labels = _nifti(np.ascontiguousarray(segmented[box]), local)
    return Volumes(ct, labels, spacing_of(own), not np.allclose(own, local))


def _coarser_and_coarser(
    hu: npt.NDArray[np.float32], affine: Array
) -> Iterator[tuple[npt.NDArray[np.float32], Array]]:
    """A volume, then the same with half the voxels, and so on, each with its affine."""
    while True:
        yield hu, affine
        spacing = np.where(np.array(hu.shape) > 1, spacing_of(affine), np.inf)
        axis = int(spacing.argmin())
        pairs = hu.shape[axis] // 2
        first, second = (np.take(hu, np.arange(start, 2 * pairs, 2), axis=axis) for start in (0, 1))
        hu = (first + second) * np.float32(0.5)
        affine = _moved(affine, 0.5 * np.eye(3)[axis])
        affine[:, axis] *= 2


def _moved(affine: Array, index: npt.ArrayLike) -> Array:
    """An affine whose first voxel is at another index."""
    moved = affine.copy()
    moved[:3, 3] = to_world(affine, index)
    return moved


def _nifti(values: npt.NDArray[np.generic], affine: Array) -> bytes:
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)
