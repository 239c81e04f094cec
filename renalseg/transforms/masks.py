"""Labels as masks, and masks as labels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from renalseg.components import bounding_box
from renalseg.labels import KIDNEY, TUMOR
from renalseg.transforms.keep_largest import cleared


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


class LesionsInMaskd(MapTransform):
    """Removes tumors and cysts outside a mask; kidney may reach beyond it.

    Bowel, liver and spleen next to a kidney look like its lesions.

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
        mask = result[self.mask_key][0].cpu().numpy()
        for key in self.key_iterator(result):
            own = result[key][0].cpu().numpy()
            box = bounding_box(own)
            if box is not None:
                result[key] = cleared(result[key], box, (mask[box] == 0) & (own[box] > KIDNEY))
        return result
