"""Depth below the surface of kidneys and tumors, which the appearance of both depends on."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from renalseg.synthesis.tissues import RENAL, Anatomy, Tissue

MARGIN = 2  # voxels around a structure, so that its surface lies inside the box


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
