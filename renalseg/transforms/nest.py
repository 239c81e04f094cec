"""Labels as nested masks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from renalseg.labels import KIDNEY, TUMOR


class NestLabelsd(MapTransform):
    """Turns a label map into one mask per label, which includes the larger labels.

    The targets of a network with nested sigmoid channels; `RestoreGridd` with `nested` is the way
    back.

    Args:
        keys: Label maps (1, X, Y, Z) with `KIDNEY` and `TUMOR`.
    """

    def __init__(self, keys: KeysCollection):
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with masks (2, X, Y, Z) uint8: kidney with its tumors, and tumors."""
        result = dict(data)
        for key in self.key_iterator(result):
            label = result[key]
            masks = [label >= value for value in (KIDNEY, TUMOR)]
            result[key] = torch.cat(masks).to(torch.uint8)
        return result
