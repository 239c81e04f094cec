"""Joins one item per kidney into one case."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.transforms import Compose, MapTransform, Transform

from renalseg.evidence import EVIDENCE, joined

Item = dict[Hashable, Any]


class EachKidney(Transform):
    """Applies transforms to each item of a list.

    Args:
        transforms: What is applied to each item.
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]]):
        self.transform = Compose(transforms)

    def __call__(self, data: Sequence[Mapping[Hashable, Any]]) -> list[Item]:
        """Returns the transformed items."""
        return [self.transform(item) for item in data]


class MergeKidneysd(MapTransform):
    """Joins the items of a case; where they overlap, the larger label wins: tumor over kidney.

    Args:
        keys: Label maps (1, X, Y, Z) on the source grid.
    """

    def __init__(self, keys: KeysCollection):
        super().__init__(keys)

    def __call__(self, data: Sequence[Mapping[Hashable, Any]]) -> Item:
        """Returns the first item with the joined label maps, and their evidence."""
        result = dict(data[0])
        for key in self.key_iterator(result):
            for item in data[1:]:
                result[key] = result[key].maximum(item[key])
        if EVIDENCE in result:
            result[EVIDENCE] = joined(item[EVIDENCE] for item in data)
        return result
