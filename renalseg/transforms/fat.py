"""Removal of fat around and in the hilum of a kidney."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from scipy import ndimage

from renalseg.components import bounding_box


class DropFatd(MapTransform):
    """Removes perirenal and sinus fat from kidney masks found on a coarser grid.

    Enclosed fat stays: it belongs to a structure in the kidney, such as an angiomyolipoma.

    Args:
        keys: Masks (1, X, Y, Z) of kidneys with their tumors.
        image_key: HU (1, X, Y, Z) on the same grid.
        fat_hu: Voxels below it are fat.
    """

    def __init__(self, keys: KeysCollection, image_key: str, fat_hu: float):
        super().__init__(keys)
        self.image_key = image_key
        self.fat_hu = fat_hu

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with masks (1, X, Y, Z) uint8 without fat."""
        result = dict(data)
        image = result[self.image_key][0]
        for key in self.key_iterator(result):
            mask = result[key][0].cpu().numpy()
            box = bounding_box(mask)
            if box is None:
                continue
            lean = (mask[box] > 0) & (image[box].cpu().numpy() >= self.fat_hu)
            kept = np.zeros(mask.shape, np.uint8)
            kept[box] = ndimage.binary_fill_holes(lean)
            result[key] = MetaTensor(torch.from_numpy(kept)[None], affine=result[key].affine)
        return result
