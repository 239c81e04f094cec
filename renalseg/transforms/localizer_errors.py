"""Masks with the errors of a localizer, for training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import interpolate

from renalseg.labels import KIDNEY

_COARSE = 2.1  # pixels of a localizer, in pixels of the network
_SOFT_HU = -30.0  # above fat: organs, bowel and vessels


class RandGrowMaskd(RandomizableTransform, MapTransform):
    """Grows or shrinks masks in their slices, by the same number of pixels for all keys.

    Args:
        keys: Masks (1, X, Y, Z), slices along Z.
        most: Largest number of pixels, in both directions.
        prob: Share of the items that are changed.
    """

    def __init__(self, keys: KeysCollection, most: int, prob: float = 0.5):
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.most = most
        self.pixels = 0

    def randomize(self, data: Any = None) -> None:
        """Draws by how many pixels."""
        super().randomize(data)
        self.pixels = int(self.R.randint(-self.most, self.most + 1)) if self._do_transform else 0

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the masks changed."""
        result = dict(data)
        self.randomize()
        for key in self.key_iterator(result):
            result[key] = grow(result[key], self.pixels)
        return result


def grow(mask: Tensor, pixels: int) -> Tensor:
    """A mask (1, X, Y, Z) that is larger in its slices along Z by some pixels, or smaller."""
    if not pixels:
        return mask
    filtered, outside = (
        (ndimage.maximum_filter1d, 0) if pixels > 0 else (ndimage.minimum_filter1d, 1)
    )
    changed = (mask[0] > 0).numpy()
    for axis in (0, 1):
        changed = filtered(changed, 2 * abs(pixels) + 1, axis, mode="constant", cval=outside)
    return torch.from_numpy(changed)[None].to(mask.dtype)


def close(mask: Tensor, pixels: int) -> Tensor:
    """A mask (1, X, Y, Z) whose gaps and hollows of up to twice so many pixels are filled."""
    return grow(grow(mask, pixels), -pixels)


class RandImperfectMaskd(RandomizableTransform, MapTransform):
    """Gives kidney masks inexact outlines, a filled hilum, leaks and missing bulges.

    Three quarters are grown, shrunk or computed on coarser pixels. Then a quarter gets its concave
    parts filled, two fifths leak into their neighbors, a fifth loses part of a bulging lesion, and
    a few lose one kidney.

    Args:
        keys: Masks (1, X, Y, Z), slices along Z.
        label_key: Their label (1, X, Y, Z): 1 kidney, above it lesions.
        image_key: Their image (1, X, Y, Z) in HU: most leaks end where fat begins.
    """

    def __init__(self, keys: KeysCollection, label_key: str = "label", image_key: str = "image"):
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.label_key = label_key
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the masks changed, uint8."""
        result = dict(data)
        label = torch.as_tensor(result[self.label_key])[0].numpy()
        soft = torch.as_tensor(result[self.image_key])[0].gt(_SOFT_HU).numpy()
        for key in self.key_iterator(result):
            outlined = self._outline(torch.as_tensor(result[key]).gt(0).to(torch.uint8))
            if self.R.random() < 0.25:
                pixels = int(self.R.randint(3, 11))
                outlined = close(outlined, pixels)
            mask = outlined[0].numpy()
            if self.R.random() < 0.4:
                self._leak(mask, soft)
            if self.R.random() < 0.2:
                self._drop_bulge(mask, label)
            if self.R.random() < 0.06:
                self._drop_side(mask)
            result[key] = torch.from_numpy(mask)[None]
        return result

    def _outline(self, mask: torch.Tensor) -> torch.Tensor:
        kind = self.R.random()
        if kind < 0.25:
            return mask.clone()
        if kind < 0.75:
            return grow(mask, int(self.R.choice([-2, -1, 1, 2])))
        slices = mask[0].permute(2, 0, 1)[:, None].float()
        size = [round(n / _COARSE) for n in slices.shape[2:]]
        coarse = interpolate(slices, size=size, mode="area")
        fine = interpolate(coarse, size=slices.shape[2:], mode="bilinear")
        return (fine > 0.5).to(torch.uint8)[:, 0].permute(1, 2, 0)[None].contiguous()

    def _leak(self, mask: np.ndarray, soft: np.ndarray) -> None:
        near = mask[..., mask.shape[2] // 2]
        edge = np.argwhere(ndimage.binary_dilation(near, iterations=2) & (near == 0))
        for _ in range(self.R.randint(1, 4) if len(edge) else 0):
            center = edge[self.R.randint(len(edge))]
            piece = self._disc(mask.shape[:2], center, self.R.uniform(3, 16, size=2))
            first, last = 0, mask.shape[2]
            if self.R.random() < 0.4:
                first, last = sorted(self.R.randint(0, last + 1, size=2))
            into = piece[..., None] & (soft if self.R.random() < 0.7 else True)
            mask[..., first:last] |= np.broadcast_to(into, mask.shape)[..., first:last]

    def _drop_bulge(self, mask: np.ndarray, label: np.ndarray) -> None:
        middle = label[..., mask.shape[2] // 2]
        far = np.argwhere(
            (middle > KIDNEY) & (ndimage.distance_transform_edt(middle != KIDNEY) > 4)
        )
        if len(far):
            center = far[self.R.randint(len(far))]
            mask[self._disc(mask.shape[:2], center, np.repeat(self.R.uniform(3, 9), 2))] = 0

    def _drop_side(self, mask: np.ndarray) -> None:
        half = mask.shape[0] // 2
        sides = (mask[:half], mask[half:])
        if all(side.any() for side in sides):
            sides[self.R.randint(2)][:] = 0

    def _disc(self, shape: tuple[int, ...], center: np.ndarray, radii: np.ndarray) -> np.ndarray:
        x, y = (np.arange(n) - c for n, c in zip(shape, center, strict=True))
        return np.asarray((x[:, None] / radii[0]) ** 2 + (y[None] / radii[1]) ** 2 < 1)
