"""Removal of cysts that a network mistakes for tumors."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform
from scipy import ndimage

from renalseg.components import bounding_box, components
from renalseg.transforms.keep_largest import cleared


class DropFluidTumorsd(MapTransform):
    """Removes tumors of fluid attenuation, which are cysts, from the probabilities.

    Fluid is below 20 HU by the Bosniak classification of cystic masses; the tumors of real KiTS19
    slices have 32 to 131 HU in the mean of their patients.

    Args:
        keys: MetaTensors (1, X, Y, Z), probabilities.
        image_key: HU (1, X, Y, Z) on the same grid; removed afterward.
        fluid_hu: Components whose median is lower are set to 0.
        threshold: A voxel belongs to a tumor where its probability is larger.
    """

    def __init__(
        self, keys: KeysCollection, image_key: str, fluid_hu: float, threshold: float = 0.5
    ):
        super().__init__(keys)
        self.image_key = image_key
        self.fluid_hu = fluid_hu
        self.threshold = threshold

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` without these tumors, and without the image."""
        result = dict(data)
        image = result.pop(self.image_key)[0].cpu().numpy()
        for key in self.key_iterator(result):
            probs = result[key]
            mask = probs[0].detach().cpu().numpy() > self.threshold
            box = bounding_box(mask)
            if box is None:
                continue
            numbered, sizes = components(mask[box])
            numbers = np.arange(1, len(sizes) + 1)
            fluid = numbers[ndimage.median(image[box], numbered, numbers) < self.fluid_hu]
            if len(fluid):
                result[key] = cleared(probs, box, np.isin(numbered, fluid))
        return result
