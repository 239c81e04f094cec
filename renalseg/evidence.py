"""What a tumor stage knows of lesions besides their labels.

A label map carries it in its meta, so that every stage still gives labels alone to whoever wants no
more. It stays on the grids of the networks, which are small: a place is looked up when asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from monai.data import MetaTensor
from torch import Tensor

from renalseg.components import bounding_box
from renalseg.grids import Grid, covered, resample
from renalseg.labels import CYST, KIDNEY, TUMOR

LESIONS = (TUMOR, CYST)
"""The labels that have probabilities, in the order of their channels."""
EVIDENCE = "evidence"
"""Where a case and the meta of a label map have it."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence of lesions.

    Attributes:
        probs: (2, x, y, z) float16 each, one for `TUMOR` and one for `CYST`, as the network gives
            them: a method calls a lesion what exceeds 0.5, before it looks at whole lesions. The
            largest counts where several cover a place. Of a localizer the first is the kidney's.
        opinions: Where other networks of the method find lesions: labels (1, x, y, z) of each,
            around them.
    """

    probs: tuple[MetaTensor, ...] = ()
    opinions: tuple[MetaTensor, ...] = ()

    def box(self, target: Grid) -> tuple[slice, slice, slice] | None:
        """Finds the part of a grid at which a network looked; None if there is none."""
        boxes = [found for part in self.probs if (found := _box(part, target)) is not None]
        if not boxes:
            return None
        x, y, z = (
            slice(min(side.start for side in sides), max(side.stop for side in sides))
            for sides in zip(*boxes, strict=True)
        )
        return (x, y, z)

    def on(self, target: Grid) -> Tensor:
        """Gives the probabilities (2, X, Y, Z) float32 on a grid; 0 where no network looked."""
        result = torch.zeros((len(LESIONS), *target.shape))
        for part in self.probs:
            box = _box(part, target)
            if box is not None:
                place = (slice(None), *box)
                found = resample(part.as_tensor(), Grid.of(part), target.crop(box))
                result[place] = torch.maximum(result[place], found)
        return result

    def seen(self, target: Grid) -> list[Tensor]:
        """Gives for each other network where on a grid (X, Y, Z) it finds a lesion."""
        found = []
        for labels in self.opinions:
            lesions = torch.zeros(target.shape, dtype=torch.bool)
            box = _box(labels, target)
            if box is not None:
                near = resample(labels.as_tensor(), Grid.of(labels), target.crop(box), "nearest")
                lesions[box] = near[0] > KIDNEY
            found.append(lesions)
        return found


def opinion_of(pred: MetaTensor) -> MetaTensor:
    """Cuts a label map (1, X, Y, Z) down to the box around its lesions."""
    labels = pred.as_tensor().cpu()
    box = bounding_box((labels[0] > KIDNEY).numpy()) or (slice(0, 1),) * 3
    affine = torch.from_numpy(Grid.of(pred).crop(box).affine)
    return MetaTensor(labels[(slice(None), *box)].clone(), affine=affine)


def _box(part: MetaTensor, target: Grid) -> tuple[slice, slice, slice] | None:
    own = Grid.of(part)
    return covered([slice(0, size) for size in own.shape], own, target)


def joined(parts: Iterable[Evidence]) -> Evidence:
    """Joins the evidence of several crops of a CT."""
    return Evidence(tuple(probs for part in parts for probs in part.probs))


def with_evidence(pred: MetaTensor, evidence: Evidence | None) -> MetaTensor:
    """Gives a label map its evidence, in place, and returns it."""
    if evidence is not None:
        pred.meta[EVIDENCE] = evidence
    return pred


def evidence_of(pred: MetaTensor) -> Evidence | None:
    """Returns the evidence of a label map; None of a model that gives labels alone."""
    evidence: Evidence | None = pred.meta.get(EVIDENCE)
    return evidence
