"""Resampling to the grid of a network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from renalseg.grids import Grid, resample


class ToSpacingd(MapTransform):
    """Resamples volumes to axes near R, A, S and a spacing, over the same field of view.

    Args:
        keys: MetaTensors (C, X, Y, Z) on any grid.
        spacing: mm along R, A, S.
        mode: "linear" for images, "nearest" for masks.
    """

    def __init__(self, keys: KeysCollection, spacing: Sequence[float], mode: str = "linear"):
        super().__init__(keys)
        self.spacing = tuple(spacing)
        self.mode = mode

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the volumes of the keys resampled."""
        result = dict(data)
        for key in self.key_iterator(result):
            volume = result[key]
            source = Grid.of(volume)
            target = source.respaced(self.spacing)
            values = resample(volume.as_tensor(), source, target, self.mode)
            result[key] = MetaTensor(values, affine=torch.from_numpy(target.affine))
        return result
