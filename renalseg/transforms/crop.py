"""Cropping to the kidneys."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from renalseg.components import Box, around, bounding_box, components, grow_box
from renalseg.geometry import voxel_volume_mm3
from renalseg.grids import Grid

_STRIDE = 2  # boxes need no more than every second voxel of a kidney mask


class CropToKidneysd(MapTransform):
    """Splits a case into one item per kidney, cropped to its box plus a margin.

    A network that compares the kidneys gets both in one item, cropped to the box around them.

    Args:
        keys: MetaTensors (C, X, Y, Z) on the grid of the kidney mask.
        kidney_key: The localizer's mask (1, X, Y, Z).
        margin_mm: How far the box reaches beyond the kidney.
        max_kidneys: Number of largest components that count as kidneys.
        min_volume_mm3: Smaller components do not count as kidneys.
        mask_key: If given, items keep the whole mask and get their part of it under this key.
        together: One item with all kidneys.
    """

    def __init__(
        self,
        keys: KeysCollection,
        kidney_key: str = "kidney",
        margin_mm: float = 20.0,
        max_kidneys: int = 2,
        min_volume_mm3: float = 5000.0,
        mask_key: str | None = None,
        together: bool = False,
    ):
        super().__init__(keys)
        self.kidney_key = kidney_key
        self.margin_mm = margin_mm
        self.max_kidneys = max_kidneys
        self.min_volume_mm3 = min_volume_mm3
        self.mask_key = mask_key
        self.together = together

    def __call__(self, data: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """Returns the items, the largest kidney first; none if the mask is empty."""
        kidney = data[self.kidney_key]
        grid = Grid.of(kidney)
        items = []
        for box in self._boxes(np.asarray(kidney[0]), grid):
            item = dict(data)
            affine = torch.from_numpy(grid.crop(box).affine)
            whole = {key: data[key] for key in self.key_iterator(item)}
            if self.mask_key is None:
                del item[self.kidney_key]
            else:
                whole[self.mask_key] = kidney
            for key, volume in whole.items():
                item[key] = MetaTensor(volume.as_tensor()[(slice(None), *box)], affine=affine)
            items.append(item)
        return items

    def _boxes(self, kidney: np.ndarray, grid: Grid) -> list[Box]:
        whole = bounding_box(kidney)
        if whole is None:
            return []
        numbered, sizes = components(kidney[whole][::_STRIDE, ::_STRIDE, ::_STRIDE] > 0)
        volumes = sizes * voxel_volume_mm3(grid.affine) * _STRIDE**3
        margin = self.margin_mm / np.linalg.norm(grid.affine[:3, :3], axis=0)
        boxes = []
        for number, volume in enumerate(volumes[: self.max_kidneys], start=1):
            box = bounding_box(numbered == number)
            if box is None or volume < self.min_volume_mm3:
                continue
            x, y, z = (
                slice(w.start + _STRIDE * b.start, w.start + _STRIDE * b.stop)
                for w, b in zip(whole, box, strict=True)
            )
            boxes.append(grow_box((x, y, z), margin, grid.shape))
        return [around(boxes)] if self.together and boxes else boxes
