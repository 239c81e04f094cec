"""Removal of tumors that a second network does not see."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from monai.config import KeysCollection
from monai.transforms import MapTransform
from scipy import ndimage

from renalseg.components import Box, Mask
from renalseg.geometry import Array
from renalseg.labels import TUMOR
from renalseg.transforms.small_tumors import given_back


class KeepConfirmedTumorsd(MapTransform):
    """Gives tumors back to the kidney of which another network sees too little.

    Two networks that were built and trained apart rarely take the same cyst for a tumor.

    Args:
        keys: Label maps (1, X, Y, Z) with `KIDNEY` and `TUMOR`.
        other_key: Label map of the other network on the same grid.
        min_share: Components of `TUMOR` of which the other calls less `TUMOR` become `KIDNEY`.
    """

    def __init__(self, keys: KeysCollection, other_key: str, min_share: float):
        super().__init__(keys)
        self.other_key = other_key
        self.min_share = min_share

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` without the tumors that are not confirmed."""
        result = dict(data)
        other = result[self.other_key][0].cpu().numpy()

        def unconfirmed(box: Box, numbered: npt.NDArray[np.int32], volumes: Array) -> Mask:
            numbers = np.arange(1, len(volumes) + 1)
            seen = ndimage.mean(other[box] == TUMOR, numbered, numbers)
            return np.asarray(seen < self.min_share)

        for key in self.key_iterator(result):
            result[key] = given_back(result[key], unconfirmed)
        return result
