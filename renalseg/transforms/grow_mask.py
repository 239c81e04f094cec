"""Masks with inexact outlines, like a localizer's."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from torch import Tensor
from torch.nn.functional import max_pool2d


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
    size, sign = 2 * abs(pixels) + 1, 1 if pixels > 0 else -1
    slices = sign * (mask[0] > 0).float().permute(2, 0, 1)[:, None]
    grown = sign * max_pool2d(slices, size, stride=1, padding=size // 2)
    return grown[:, 0].permute(1, 2, 0)[None].to(mask.dtype)
