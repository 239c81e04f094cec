"""Clearing what surrounds a mask."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from renalseg.transforms.localizer_errors import grow


class FillOutsided(MapTransform):
    """Sets an image to one value outside a mask.

    Args:
        keys: Images (C, X, Y, Z) on the grid of the mask.
        mask_key: The mask (1, X, Y, Z), slices along Z.
        value: 0 is the product of image and mask.
        reach: Pixels within this distance of the mask, in its slice, are kept, too.
    """

    def __init__(
        self, keys: KeysCollection, mask_key: str, value: float = 0.0, reach: int = 0
    ) -> None:
        super().__init__(keys)
        self.mask_key = mask_key
        self.value = value
        self.reach = reach

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the images filled."""
        result = dict(data)
        outside = grow(result[self.mask_key], self.reach).eq(0)
        for key in self.key_iterator(result):
            result[key] = result[key].masked_fill(outside, self.value)
        return result
