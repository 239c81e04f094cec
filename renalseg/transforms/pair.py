"""Two kidneys as one input of a network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from renalseg.grids import Grid

GRIDS_KEY = "grids"


class JoinKidneysd(MapTransform):
    """Joins two kidneys along the slices; one kidney is joined to itself.

    `SplitKidneysd` is the inverse.

    Args:
        keys: MetaTensors (C, X, Y, Z) of one shape for both kidneys.
        grids_key: Gets the grids of the two, in the order in which they were joined.
    """

    def __init__(self, keys: KeysCollection, grids_key: str = GRIDS_KEY):
        super().__init__(keys)
        self.grids_key = grids_key

    def __call__(self, data: Sequence[Mapping[Hashable, Any]]) -> list[dict[Hashable, Any]]:
        """Returns one item with (C, X, Y, 2 Z) volumes; none if there is no kidney.

        The rest of it, and the affine, are those of the first kidney.
        """
        if not data:
            return []
        pair = (data[0], data[1] if len(data) > 1 else data[0])
        result = dict(data[0])
        for key in self.key_iterator(result):
            volumes = [item[key] for item in pair]
            result[self.grids_key] = tuple(Grid.of(volume) for volume in volumes)
            joined = torch.cat([volume.as_tensor() for volume in volumes], dim=-1)
            result[key] = MetaTensor(joined, affine=volumes[0].affine)
        return [result]


class SplitKidneysd(MapTransform):
    """Splits the joined kidneys of `JoinKidneysd` into one item per kidney.

    Args:
        keys: Tensors (C, X, Y, 2 Z).
        grids_key: The grids of the two.
    """

    def __init__(self, keys: KeysCollection, grids_key: str = GRIDS_KEY):
        super().__init__(keys)
        self.grids_key = grids_key

    def __call__(self, data: Sequence[Mapping[Hashable, Any]]) -> list[dict[Hashable, Any]]:
        """Returns the items, each volume on its own grid."""
        joined = dict(data[0])
        grids: tuple[Grid, Grid] = joined.pop(self.grids_key)
        items = [dict(joined) for _ in grids]
        for key in self.key_iterator(joined):
            parts = joined[key].as_tensor().chunk(len(grids), dim=-1)
            for item, part, grid in zip(items, parts, grids, strict=True):
                item[key] = MetaTensor(part, affine=torch.from_numpy(grid.affine))
        return items
