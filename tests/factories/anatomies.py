"""Anatomies of boxes: small, quick to make, and with all that training draws from."""

from __future__ import annotations

import torch

from renalseg.synthesis.tissues import Anatomy, Tissue


def box_anatomy(kidneys: int = 2) -> Anatomy:
    """A body of 240 x 160 x 200 mm in air, with kidneys of 40 x 48 x 100 mm.

    The first kidney has a tumor of 24 mm and a cyst of 12 mm.
    """
    tissue = torch.full((70, 50, 50), int(Tissue.AIR), dtype=torch.uint8)
    tissue[5:65, 5:45] = Tissue.VISCERAL
    depth = torch.full_like(tissue, 5)
    for left in (15, 45)[:kidneys]:
        tissue[left : left + 10, 18:30, 12:37] = Tissue.KIDNEY
        tissue[left + 3 : left + 7, 21:27, 16:33] = Tissue.PELVIS
    tissue[17:23, 20:26, 14:20] = Tissue.TUMOR
    tissue[18:21, 20:23, 30:33] = Tissue.CYST
    return Anatomy(tissue, depth, (4.0, 4.0, 4.0))
