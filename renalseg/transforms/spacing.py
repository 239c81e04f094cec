"""Resampling to the grid of a network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import ensure_tuple_rep

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


class LimitSpacingd(MapTransform):
    """Turns volumes to axes near R, A, S and keeps their spacing within limits.

    An axis within the limits keeps its voxels and values; one outside of them gets the nearer
    limit.

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


class ToSliceSized(MapTransform):
    """Resamples volumes to axial slices of a given matrix and thickness, axes near R, A, S.

    Pixels are square: the longer side of the field of view gets `size` of them. If that exceeds
    `limits`, they get the nearer limit, and the slices another matrix.

    Args:
        keys: MetaTensors (1, X, Y, Z) on any grid.
        size: Pixels along the longer of R and A.
        thickness: mm along S.
        limits: Smallest and largest pixel, in mm.
        mode: "linear" for images, "nearest" for masks.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int,
        thickness: float,
        limits: Sequence[float] = (0.0, float("inf")),
        mode: str = "linear",
    ):
        super().__init__(keys)
        self.size = size
        self.thickness = thickness
        self.limits = tuple(limits)
        self.mode = mode

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the volumes of the keys resampled."""
        result = dict(data)
        for key in self.key_iterator(result):
            longer = Grid.of(result[key]).turned().extent[:2].max()
            pixel = float(min(max(longer / self.size, self.limits[0]), self.limits[1]))
            result = ToSpacingd(key, (pixel, pixel, self.thickness), self.mode)(result)
        return result


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
