"""Selection of one channel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform


class TakeChanneld(MapTransform):
    """Keeps one channel, such as the probability of the kidney of a two-class softmax.

    Args:
        keys: MetaTensors (C, X, Y, Z).
        channel: Index of the channel that stays.
    """

    def __init__(self, keys: KeysCollection, channel: int):
        super().__init__(keys)
        self.channel = channel

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with volumes (1, X, Y, Z)."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = result[key].narrow(0, self.channel, 1)
        return result
