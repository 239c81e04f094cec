"""The tissues that synthetic anatomies are made of, and how they are labeled for training."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from renalseg.labels import BACKGROUND, KIDNEY, TUMOR


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


RENAL = (Tissue.KIDNEY, Tissue.PELVIS, Tissue.TUMOR, Tissue.CYST)  # what a kidney is made of


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
