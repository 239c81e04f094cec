"""Padding that lets a network take images of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional


def pad_to_multiple(x: Tensor, multiple: Sequence[int]) -> tuple[Tensor, tuple[Any, ...]]:
    """Pads the spatial axes at their ends to a multiple, by repeating the border.

    Args:
        x: (B, C, *spatial).
        multiple: For each spatial axis the number of voxels that its size must divide by.

    Returns:
        The padded tensor, and the index that crops a tensor of its size back to that of ``x``.
    """
    sizes = x.shape[2:]
    missing = [-size % m for size, m in zip(sizes, multiple, strict=True)]
    crop = (..., *(slice(size) for size in sizes))
    if any(missing):
        ends = [amount for axis in reversed(missing) for amount in (0, axis)]
        x = functional.pad(x, ends, mode="replicate")
    return x, crop
