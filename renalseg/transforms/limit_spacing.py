"""Resampling only where the spacing of a volume is out of limits."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from renalseg.grids import Grid
from renalseg.transforms.spacing import ToSpacingd


class LimitSpacingd(MapTransform):
    """Turns volumes to axes near R, A, S and keeps their own spacing as far as it is within limits.

    An axis within the limits keeps its voxels and values; one beyond them gets the nearer limit.

    Args:
        keys: MetaTensors (C, X, Y, Z) on any grid.
        low: mm along R, A, S; finer axes are resampled to it.
        high: mm along R, A, S; coarser axes are resampled to it.
        mode: "linear" for images, "nearest" for masks.

    Raises:
        ValueError: A lower limit is above the upper one.
    """

    def __init__(
        self,
        keys: KeysCollection,
        low: Sequence[float],
        high: Sequence[float],
        mode: str = "linear",
    ):
        super().__init__(keys)
        self.low = np.asarray(low, dtype=np.float64)
        self.high = np.asarray(high, dtype=np.float64)
        self.mode = mode
        if (self.low > self.high).any():
            raise ValueError(f"Expected low <= high, got low={list(low)} and high={list(high)}")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the volumes of the keys within the limits."""
        result = dict(data)
        for key in self.key_iterator(result):
            own = Grid.of(result[key]).turned().spacing
            spacing = own.clip(self.low, self.high).tolist()
            result = ToSpacingd(key, spacing, self.mode)(result)
        return result
