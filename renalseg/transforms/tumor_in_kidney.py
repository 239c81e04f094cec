"""The merge of a kidney mask and a tumor mask."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from renalseg.labels import KIDNEY, TUMOR


class TumorInKidneyd(MapTransform):
    """Labels the overlap of both masks as tumor, and the rest of the kidney mask as kidney.

    Args:
        keys: Tumor masks (1, X, Y, Z); each becomes a label map with `KIDNEY` and `TUMOR`.
        kidney_key: Mask of kidney with tumor on the same grid.
    """

    def __init__(self, keys: KeysCollection, kidney_key: str = "kidney"):
        super().__init__(keys)
        self.kidney_key = kidney_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the label maps, uint8."""
        result = dict(data)
        kidney = result[self.kidney_key].as_tensor().cpu() > 0
        for key in self.key_iterator(result):
            tumor = result[key].as_tensor().cpu() > 0
            labels = kidney.to(torch.uint8) * KIDNEY
            labels.masked_fill_(kidney & tumor, TUMOR)
            result[key] = MetaTensor(labels, affine=result[key].affine)
        return result
