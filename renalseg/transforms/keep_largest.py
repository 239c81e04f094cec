"""Removal of all but the largest structures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from renalseg.components import Box, Mask, bounding_box, components


class KeepLargestComponentsd(MapTransform):
    """Keeps the largest connected components above a threshold.

    Unlike MONAI's KeepLargestConnectedComponentd, it accepts probabilities, too: those around the
    kept components survive, so that a later interpolation still finds the surface between voxels.

    Args:
        keys: MetaTensors (1, X, Y, Z), probabilities or label maps.
        count: How many components are kept.
        threshold: A voxel belongs to a structure where its value is larger.
        min_voxels: Smaller components are not kept.
    """

    def __init__(
        self, keys: KeysCollection, count: int = 2, threshold: float = 0.5, min_voxels: int = 0
    ):
        super().__init__(keys)
        self.count = count
        self.threshold = threshold
        self.min_voxels = min_voxels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the other components set to 0."""
        result = dict(data)
        for key in self.key_iterator(result):
            values = result[key]
            own = values[0].detach().cpu().numpy()
            box = bounding_box(own)
            if box is None:
                continue
            numbered, sizes = components(own[box] > self.threshold)
            kept_count = min(self.count, int((sizes >= self.min_voxels).sum()))
            if kept_count == len(sizes):
                continue
            result[key] = cleared(values, box, numbered > kept_count)
        return result


def cleared(values: MetaTensor, box: Box, dropped: Mask) -> MetaTensor:
    """Returns a copy that is 0 where something is dropped.

    Args:
        values: (1, X, Y, Z).
        box: Part of X, Y, Z.
        dropped: Voxels to drop, in the box.
    """
    kept = values.as_tensor().clone()
    kept[(slice(None), *box)].masked_fill_(torch.from_numpy(dropped).to(kept.device), 0)
    return MetaTensor(kept, affine=values.affine)
