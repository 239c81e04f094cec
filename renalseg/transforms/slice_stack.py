"""From thin volumes to the input of a 2.5D network."""

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
