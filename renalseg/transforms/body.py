"""Cropping to the body."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from scipy import ndimage

from renalseg.components import Box, Mask, bounding_box, components
from renalseg.grids import Grid


class CropToBodyd(MapTransform):
    """Crops every slice to the box of the body in the middle slice.

    Slices lie along the array axis nearest to S; their number stays.

    Args:
        keys: MetaTensors (1, X, Y, Z); the box is that of the first key.
        body_hu: Voxels above it are body.
        opening_mm: Thinner structures, such as the table and tubes, are not body.
    """

    def __init__(self, keys: KeysCollection, body_hu: float = -300.0, opening_mm: float = 10.0):
        super().__init__(keys)
        self.body_hu = body_hu
        self.opening_mm = opening_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with views of the volumes; whole volumes if there is no body."""
        result = dict(data)
        box: Box | None = None
        for key in self.key_iterator(result):
            volume = result[key]
            grid = Grid.of(volume)
            box = self._box(volume, grid) if box is None else box
            affine = torch.from_numpy(grid.crop(box).affine)
            result[key] = MetaTensor(volume.as_tensor()[(slice(None), *box)], affine=affine)
        return result

    def _box(self, volume: MetaTensor, grid: Grid) -> Box:
        along = int(np.argmax(np.abs(grid.affine[2, :3])))
        middle = volume.as_tensor()[0].select(along, grid.shape[along] // 2)
        spacing = np.delete(np.linalg.norm(grid.affine[:3, :3], axis=0), along)
        body = _largest(middle.cpu().numpy() > self.body_hu, self.opening_mm / spacing)
        # the slice again as a volume of one slice
        found = bounding_box(np.expand_dims(body, along))
        if found is None:
            return (slice(0, grid.shape[0]), slice(0, grid.shape[1]), slice(0, grid.shape[2]))
        x, y, z = (slice(0, n) if a == along else found[a] for a, n in enumerate(grid.shape))
        return (x, y, z)


def _largest(mask: Mask, opening: np.ndarray) -> Mask:
    """The largest component (X, Y) of what an opening of some voxels leaves."""
    window = tuple(max(1, round(float(n))) for n in opening)
    opened = ndimage.binary_opening(mask, np.ones(window, dtype=bool))
    numbered, _ = components(opened[..., None])
    return np.asarray(numbered[..., 0] == 1)
