"""The outline of the kidneys between those of two networks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from scipy import ndimage

from renalseg.components import Mask, around, bounding_box, components, part_boxes
from renalseg.geometry import Array, spacing_of
from renalseg.labels import KIDNEY


class BetweenOutlinesd(MapTransform):
    """Moves the outline of the kidneys between that of one network and that of another.

    Where both agree, nothing changes. What one of them alone calls kidney is divided: the part that
    is nearer to what both call kidney stays. So half of a leak into a neighbor goes, and a bulge
    that one of them misses is half kept. Tumors and cysts stay as they are.

    Args:
        keys: Label maps (1, X, Y, Z) with `KIDNEY` and lesions.
        other_key: Label map of the other network on the same grid.
        weight: Of the outlines of `keys`, from 0 to 1; the rest is that of the other. With 1, these
            stay, and with 0 the other's count.
    """

    def __init__(self, keys: KeysCollection, other_key: str, weight: float):
        super().__init__(keys)
        self.other_key = other_key
        self.weight = weight

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the outlines moved."""
        result = dict(data)
        if self.weight == 1:
            return result
        other = result[self.other_key][0].cpu().numpy()
        for key in self.key_iterator(result):
            labels = result[key][0].cpu().numpy().copy()
            boxes = [found for each in (labels, other) if (found := bounding_box(each)) is not None]
            if not boxes:
                continue
            box, spacing = around(boxes), spacing_of(np.asarray(result[key].affine))
            own, theirs = labels[box] > 0, other[box] > 0
            numbered, _ = components(own | theirs)
            for number, part in enumerate(part_boxes(numbered), start=1):
                here = numbered[part] == number
                kept = self._between(here & own[part], here & theirs[part], spacing)
                inside = labels[box][part]
                inside[here & ~kept & (inside == KIDNEY)] = 0
                inside[kept & (inside == 0)] = KIDNEY
            result[key] = MetaTensor(torch.from_numpy(labels)[None], affine=result[key].affine)
        return result

    def _between(self, own: Mask, other: Mask, spacing: Array) -> Mask:
        """Between two masks (X, Y, Z) of one kidney; nothing if they do not touch."""
        both = own & other
        if not both.any():
            return both
        outside = np.pad(~(own | other), 1, constant_values=True)
        inward = ndimage.distance_transform_edt(~both, sampling=spacing)
        outward = ndimage.distance_transform_edt(~outside, sampling=spacing)[1:-1, 1:-1, 1:-1]
        weight = np.where(own, self.weight, 1 - self.weight)
        kept: Mask = both | ((own ^ other) & ((1 - weight) * inward < weight * outward))
        return kept
