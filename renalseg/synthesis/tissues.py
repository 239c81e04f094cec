"""Synthetic anatomies: their tissues, the depth inside kidneys and tumors, and their labels."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from renalseg.labels import BACKGROUND, KIDNEY, TUMOR

MARGIN = 2  # voxels around a structure, so that its surface lies inside the box


class Tissue(IntEnum):
    """Values of a tissue map."""

    AIR = 0
    FAT = 1  # under the skin
    VISCERAL = 2  # fat between the organs, with mesentery and small bowel loops in it
    MUSCLE = 3
    CORTICAL_BONE = 4
    MARROW = 5
    CARTILAGE = 6
    LUNG = 7
    LIVER = 8
    SPLEEN = 9
    ARTERY = 10
    VEIN = 11
    BOWEL = 12
    GAS = 13
    PANCREAS = 14
    GALLBLADDER = 15
    ORGAN = 16  # soft tissue of any other organ
    FLUID = 17
    KIDNEY = 18
    PELVIS = 19  # renal pelvis and calices
    TUMOR = 20
    CYST = 21
    TABLE = 22
    URETER = 23  # and the renal pelvis outside the kidney


RENAL = (Tissue.KIDNEY, Tissue.PELVIS, Tissue.TUMOR, Tissue.CYST)  # the tissues of a kidney


class Anatomy(NamedTuple):
    """A synthetic patient before any intensity is drawn.

    Attributes:
        tissue: (X, Y, Z) uint8, values of `Tissue`, axes R, A, S.
        depth: (X, Y, Z) uint8, mm from the surface: of the kidney inside KIDNEY, of the tumor
            inside TUMOR, 0 elsewhere.
        spacing: mm along x, y, z.
    """

    tissue: Tensor
    depth: Tensor
    spacing: tuple[float, float, float]


def label_of(tissue: Tensor) -> Tensor:
    """Training label of a tissue map: 0 background, 1 kidney (with its cysts), 2 tumor."""
    table = torch.full((len(Tissue),), BACKGROUND, dtype=torch.uint8)
    table[[Tissue.KIDNEY, Tissue.PELVIS, Tissue.CYST]] = KIDNEY
    table[Tissue.TUMOR] = TUMOR
    return table[tissue.int()]


def with_depth(tissue: Tensor, spacing: tuple[float, float, float]) -> Anatomy:
    """Completes a tissue map to an anatomy.

    Args:
        tissue: (X, Y, Z) uint8, values of `Tissue`.
        spacing: mm along x, y, z.
    """
    depth = torch.zeros_like(tissue)
    renal = torch.tensor(RENAL)
    for inside, shown in (
        (torch.isin(tissue, renal.to(tissue.dtype)), tissue == Tissue.KIDNEY),
        (tissue == Tissue.TUMOR, tissue == Tissue.TUMOR),
    ):
        box = bounding_box(inside, MARGIN)
        if box is None:
            continue
        mm = ndimage.distance_transform_edt(inside[box].numpy(), sampling=spacing)
        mm = torch.from_numpy(np.minimum(mm, 255).astype(np.uint8))
        depth[box] = torch.where(shown[box], mm, depth[box])
    return Anatomy(tissue, depth, spacing)


def bounding_box(mask: Tensor, margin: int = 0) -> tuple[slice, ...] | None:
    """The box of a mask grown by a margin in voxels, or None if the mask is empty."""
    box = []
    for axis in range(mask.ndim):
        others = [a for a in range(mask.ndim) if a != axis]
        hits = torch.nonzero(mask.sum(dim=others) > 0)
        if not len(hits):
            return None
        first, last = int(hits[0]), int(hits[-1]) + 1
        box.append(slice(max(0, first - margin), min(mask.shape[axis], last + margin)))
    return tuple(box)
