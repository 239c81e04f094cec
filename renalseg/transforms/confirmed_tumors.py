"""Removal of tumors that a second network does not confirm."""

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
    """Turns tumors back into kidney if another network confirms too little of them.

    Networks that were built and trained independently rarely mistake the same cyst for a tumor.

    Args:
        keys: Label maps (1, X, Y, Z) with `KIDNEY` and `TUMOR`.
        other_key: Label map of the other network on the same grid.
        min_share: A component of `TUMOR` becomes `KIDNEY` if the other labels a smaller share of it
        `TUMOR`.
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
