"""Finds segments that the scan cuts off, whose measures are lower bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from monai.data import MetaTensor
from scipy import ndimage

from renalseg.components import Box, Mask, grow_box
from renalseg.labels import KIDNEY, Segment

# Air around the patient, padding outside of a circular field of view, and the corners of a tilted
# scan. Skin and fat lie between it and a kidney that is whole.
OUTSIDE_HU = -900.0
NEAR = 2  # voxels within a slice: an outline may stop just short of the padding


def reaches_end(image: MetaTensor, mask: Mask, box: Box) -> bool:
    """Return whether a structure reaches the first or last slice, or the edge of the field of view.

    Args:
        image: HU (1, X, Y, Z), slices along Z.
        mask: The structure, (X, Y, Z) within `box`.
        box: Where it lies in the image, tight around it.
    """
    shape = image.shape[1:]
    for part, size, near in zip(box, shape, (NEAR, NEAR, 1), strict=True):
        if part.start < near or part.stop > size - near:
            return True
    grown = grow_box(box, (NEAR, NEAR, 1), shape)
    inner = tuple(
        slice(part.start - outer.start, part.stop - outer.start)
        for part, outer in zip(box, grown, strict=True)
    )
    hu = image[0][grown].numpy()
    wide: Mask = np.zeros(hu.shape, dtype=bool)
    wide[inner] = mask
    within = ndimage.binary_dilation(wide, _CROSS, iterations=NEAR)
    beside = ndimage.binary_dilation(wide, _COLUMN) | within
    contact = beside & (hu <= OUTSIDE_HU)
    return any(
        _touches_outside(image, contact[:, :, index], grown, int(index))
        for index in np.flatnonzero(contact.any(axis=(0, 1)))
    )


def with_kidneys(segments: Sequence[Segment], cut: Sequence[bool]) -> list[bool]:
    """Also count a kidney as cut if a tumor or cyst in it is.

    Args:
        segments: All segments.
        cut: For each, whether it reaches the end itself.
    """
    sides = {segment.side for segment, ends in zip(segments, cut, strict=True) if ends}
    return [
        ends or (segment.kind == KIDNEY and segment.side in sides)
        for segment, ends in zip(segments, cut, strict=True)
    ]


_CROSS = ndimage.generate_binary_structure(3, 1) & (np.arange(3) == 1)
_COLUMN = np.zeros((3, 3, 3), dtype=bool)
_COLUMN[1, 1, :] = True


def _touches_outside(
    image: MetaTensor, contact: npt.NDArray[np.bool_], box: Box, index: int
) -> bool:
    """Return whether the air that a structure touches is outside of the patient, not bowel gas."""
    plane = image[0, :, :, box[2].start + index].numpy() <= OUTSIDE_HU
    numbered, _ = ndimage.label(plane)
    edges = (numbered[0], numbered[-1], numbered[:, 0], numbered[:, -1])
    outside = np.unique(np.concatenate(edges))
    touched = numbered[box[0], box[1]][contact]
    return bool(np.isin(touched, outside[outside > 0]).any())
