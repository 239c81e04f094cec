"""Return from a network's grid to the source grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor

from renalseg.components import Box, bounding_box, grow_box
from renalseg.evidence import EVIDENCE, LESIONS, Evidence
from renalseg.grids import Grid, covered, resample
from renalseg.labels import TUMOR

_CERTAIN = 1e-6  # no threshold is nearer to 0 or 1


class RestoreGridd(MapTransform):
    """Brings probabilities back to the source grid and decides the labels there.

    The probabilities themselves stay as they are, as the `renalseg.evidence` of the case.

    Only the box of the source grid that can hold a label is computed, so no full-resolution floats
    are held for the whole volume.

    Args:
        keys: Probabilities: (1, X, Y, Z) after a sigmoid, label 1 above the threshold; or
            (C, X, Y, Z) after a softmax, the label is the most probable channel; or `nested`.
        source_key: The `Grid` of the source.
        threshold: For a single channel, and for nested ones.
        nested: The channels are sigmoids, each within the one before it; the label is the number of
            channels above the threshold, up to the first that is not.
    """

    def __init__(
        self,
        keys: KeysCollection,
        source_key: str = "source",
        threshold: float = 0.5,
        nested: bool = False,
    ):
        super().__init__(keys)
        self.source_key = source_key
        self.threshold = threshold
        self.nested = nested

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with label maps (1, X, Y, Z) uint8 on the source grid."""
        result = dict(data)
        source: Grid = result[self.source_key]
        for key in self.key_iterator(result):
            probs = result[key]
            labels = torch.zeros((1, *source.shape), dtype=torch.uint8)
            box = self._box(probs, source)
            if box is not None:
                labels[(slice(None), *box)] = self._decide_on(source.crop(box), probs).cpu()
            result[key] = MetaTensor(labels, affine=torch.from_numpy(source.affine))
            result[EVIDENCE] = Evidence((self._lesions(probs),))
        return result

    def _lesions(self, probs: MetaTensor) -> MetaTensor:
        """The probabilities (2, X, Y, Z) of `LESIONS`; the threshold becomes 0.5."""
        own = probs.as_tensor()
        if len(own) == 1 or self.nested:
            own = own.amin(dim=0, keepdim=True)  # above the threshold where all are
            odds = min(max(self.threshold, _CERTAIN), 1 - _CERTAIN)
            yes, no = own * (1 - odds), (1 - own) * odds
            own = yes / (yes + no)
        else:
            own = own[TUMOR:]
        lesions = torch.zeros((len(LESIONS), *own.shape[1:]), dtype=torch.float16)
        lesions[: len(own)] = own.cpu()
        return MetaTensor(lesions, affine=probs.affine)

    def _decide_on(self, target: Grid, probs: MetaTensor) -> Tensor:
        """The labels on another grid."""
        own = Grid.of(probs)
        if len(probs) == 1 or self.nested:
            return self._decide(resample(probs.as_tensor(), own, target))
        # The channels add up to 1 on any grid, so the background's needs no interpolation.
        rest = resample(probs.as_tensor()[1:], own, target)
        highest, labels = rest[0], torch.ones_like(rest[0], dtype=torch.uint8)
        for label, channel in enumerate(rest[1:], start=2):
            labels.masked_fill_(channel > highest, label)
            highest = torch.maximum(highest, channel)
        return labels.mul_(highest > 1 - rest.sum(dim=0))[None]

    def _decide(self, probs: Tensor) -> Tensor:
        if len(probs) == 1 or self.nested:
            above = (probs > self.threshold).to(torch.uint8)
            return above.cumprod(dim=0, dtype=torch.uint8).sum(
                dim=0, keepdim=True, dtype=torch.uint8
            )
        # torch's argmax takes eight times as long along the first axis
        return probs.max(dim=0, keepdim=True).indices.to(torch.uint8)

    def _box(self, probs: MetaTensor, source: Grid) -> Box | None:
        """Returns the box of source voxels that can hold a label."""
        found = bounding_box(self._decide(probs.as_tensor())[0].cpu().numpy())
        if found is None:
            return None
        grid = Grid.of(probs)
        return covered(grow_box(found, (1, 1, 1), grid.shape), grid, source)
