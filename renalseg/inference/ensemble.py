"""Several methods as one: the mean of the probabilities that they give to lesions.

`renalseg.networks.Ensemble` is the same for networks of one architecture, such as those of folds,
which share a grid and all rules. Methods have their own, so they meet on the grid of the CT.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from renalseg.components import around, bounding_box, components
from renalseg.evidence import LESIONS, Evidence, evidence_of, opinion_of, with_evidence
from renalseg.grids import Grid
from renalseg.labels import BACKGROUND, KIDNEY, TUMOR
from renalseg.limits import EnsembleLimits
from renalseg.transforms import DropSmallTumorsd

_CALLED = 0.5  # what a method calls a lesion, see `Evidence`


def join_methods(preds: Sequence[MetaTensor], limits: EnsembleLimits) -> MetaTensor:
    """Joins what several methods found in the same kidneys.

    A voxel is kidney where at least half of the methods find kidney or a lesion, and a lesion where
    the mean of their probabilities is large enough. A method that knows no cysts gives them 0.

    Args:
        preds: Labels (1, X, Y, Z) uint8 of each on one grid, with their evidence. Without, a method
            is sure of its labels.
        limits: Lesions that count.

    Returns:
        Labels (1, X, Y, Z) uint8 on that grid, with the mean as their evidence, and
        what each finds.
    """
    everywhere = [pred.as_tensor()[0].cpu() for pred in preds]
    boxes = [box for each in everywhere if (box := bounding_box(each.numpy())) is not None]
    if not boxes:
        return preds[0]
    box = around(boxes)
    grid = Grid.of(preds[0]).crop(box)
    outlined = torch.zeros(grid.shape, dtype=torch.int16)
    mean = torch.zeros((len(LESIONS), *grid.shape))
    for pred, labels in zip(preds, everywhere, strict=True):
        outlined += labels[box] != BACKGROUND
        mean += _votes(evidence_of(pred), labels[box], grid) / len(preds)
    joint = (2 * outlined >= len(preds)).to(torch.uint8) * KIDNEY
    highest, lesion = mean.max(dim=0)
    joint = torch.where(highest > limits.probability, (lesion + TUMOR).to(torch.uint8), joint)
    whole = torch.zeros_like(everywhere[0])
    whole[box] = joint
    drop = DropSmallTumorsd("pred", limits.min_lesion_mm3)
    joined: MetaTensor = drop({"pred": MetaTensor(whole[None], affine=preds[0].affine)})["pred"]
    kept = MetaTensor(mean.half(), affine=torch.from_numpy(grid.affine))
    return with_evidence(joined, Evidence((kept,), tuple(map(opinion_of, preds))))


def _votes(evidence: Evidence | None, labels: Tensor, grid: Grid) -> Tensor:
    """A method's probabilities (2, X, Y, Z), without what its own rules took away."""
    called = torch.stack([labels == kind for kind in LESIONS])
    if evidence is None:
        return called.float()
    probs = evidence.on(grid)
    numbered, _ = components((probs.amax(dim=0) > _CALLED).numpy())
    stays = np.zeros(numbered.max() + 1, bool)
    stays[numbered[called.any(dim=0).numpy()]] = True
    stays[0] = True
    return probs * torch.from_numpy(stays[numbered]) * (labels != BACKGROUND)
