"""Slices as the input of a 2.5D network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform


class ToSliceStackd(MapTransform):
    """Makes the slices of an image its channels, and keeps the center slice of a label.

    Args:
        keys: Images (1, X, Y, Z), which become (Z, X, Y).
        label_key: Label (1, X, Y, Z) with Z odd, which becomes (1, X, Y).
    """

    def __init__(self, keys: KeysCollection, label_key: str = "label"):
        super().__init__(keys)
        self.label_key = label_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with images and label in two dimensions."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = result[key][0].movedim(-1, 0)
        label = result[self.label_key]
        result[self.label_key] = label[..., label.shape[-1] // 2]
        return result


class LevelSlicesd(MapTransform):
    """Shifts each slice so that its mean within a mask takes a given value.

    Args:
        keys: Images (1, X, Y, Z), slices along Z.
        mask_key: Mask (1, X, Y, Z) on the same grid; a slice that it leaves empty stays as it is.
        mean: What the mean becomes, in the unit of the image; None leaves the images as they are.
    """

    def __init__(self, keys: KeysCollection, mask_key: str, mean: float | None):
        super().__init__(keys)
        self.mask_key = mask_key
        self.mean = mean

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the images leveled."""
        result = dict(data)
        if self.mean is None:
            return result
        mask = result[self.mask_key] > 0
        count = mask.sum(dim=(0, 1, 2))  # (Z,)
        for key in self.key_iterator(result):
            image = result[key]
            mean = (image * mask).sum(dim=(0, 1, 2)) / count.clamp(min=1)
            result[key] = image + (self.mean - mean) * (count > 0)
        return result
