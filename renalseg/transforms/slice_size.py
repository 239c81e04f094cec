"""Resampling to slices of a given matrix."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from renalseg.grids import Grid
from renalseg.transforms.spacing import ToSpacingd


class ToSliceSized(MapTransform):
    """Resamples volumes to axial slices of a given matrix and thickness, axes near R, A, S.

    Pixels are square: the longer side of the field of view gets `size` of them. Where that would
    make them smaller or larger than `limits`, they get the nearer limit, and the slices another
    matrix.

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
