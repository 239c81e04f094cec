"""Removal of specks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from renalseg.components import bounding_box, components
from renalseg.geometry import voxel_volume_mm3
from renalseg.labels import KIDNEY, TUMOR


class DropSmallTumorsd(MapTransform):
    """Gives tumors that are too small to be measured back to the kidney.

    Args:
        keys: Label maps (1, X, Y, Z) with `KIDNEY` and `TUMOR`.
        min_volume_mm3: Smaller components of `TUMOR` become `KIDNEY`.
    """

    def __init__(self, keys: KeysCollection, min_volume_mm3: float):
        super().__init__(keys)
        self.min_volume_mm3 = min_volume_mm3

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` without the specks."""
        result = dict(data)
        for key in self.key_iterator(result):
            pred = result[key]
            labels = pred[0].cpu().numpy().copy()
            box = bounding_box(labels == TUMOR)
            if box is None:
                continue
            numbered, sizes = components(labels[box] == TUMOR)
            small = sizes * voxel_volume_mm3(np.asarray(pred.affine)) < self.min_volume_mm3
            labels[box][np.isin(numbered, np.flatnonzero(small) + 1)] = KIDNEY
            result[key] = MetaTensor(torch.from_numpy(labels)[None], affine=pred.affine)
        return result
