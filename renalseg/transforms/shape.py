"""Zooming to the fixed size of a network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import ensure_tuple_rep

from renalseg.grids import Grid, resample


class ToShaped(MapTransform):
    """Zooms volumes to axes near R, A, S and a number of voxels, over the same field of view.

    Args:
        keys: MetaTensors (C, X, Y, Z) on any grid.
        shape: Voxels along R, A, S.
        mode: "linear" for images, "nearest" for masks; one for all keys or one for each.
    """

    def __init__(
        self, keys: KeysCollection, shape: Sequence[int], mode: str | Sequence[str] = "linear"
    ):
        super().__init__(keys)
        self.shape = tuple(shape)
        self.modes = ensure_tuple_rep(mode, len(self.keys))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the volumes of the keys zoomed."""
        result = dict(data)
        for key, mode in self.key_iterator(result, self.modes):
            volume = result[key]
            source = Grid.of(volume)
            target = source.reshaped(self.shape)
            values = resample(volume.as_tensor(), source, target, mode)
            result[key] = MetaTensor(values, affine=torch.from_numpy(target.affine))
        return result
