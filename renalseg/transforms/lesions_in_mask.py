"""Lesions stay within the mask that they were looked for in."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from renalseg.labels import BACKGROUND, KIDNEY


class LesionsInMaskd(MapTransform):
    """Takes away what is called tumor or cyst outside of a mask; kidney may reach beyond it.

    Beside the kidney lie bowel, liver and spleen, which look like lesions of it.

    Args:
        keys: Label maps (1, X, Y, Z) with `KIDNEY`, `TUMOR` and `CYST`.
        mask_key: Mask of the kidneys with their lesions on the same grid.
    """

    def __init__(self, keys: KeysCollection, mask_key: str = "kidney"):
        super().__init__(keys)
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the label maps changed."""
        result = dict(data)
        outside = result[self.mask_key].as_tensor().cpu().eq(0)
        for key in self.key_iterator(result):
            labels = result[key]
            result[key] = labels.masked_fill(outside & (labels.as_tensor() > KIDNEY), BACKGROUND)
        return result
