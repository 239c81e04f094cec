"""Padding that lets a network take images of any size.

These functions and the networks keep to the part of Python that TorchScript compiles, because
MONAI exports bundles in that form.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def pad_to_multiple(x: Tensor, multiple: list[int]) -> Tensor:
    """Pads the spatial axes at their ends to a multiple, by repeating the border.

    Args:
        x: (B, C, *spatial).
        multiple: For each spatial axis the number of voxels that its size must divide by.
    """
    ends: list[int] = []
    for i in range(len(multiple)):  # last axis first, as functional.pad wants them
        ends += [0, -x.shape[-1 - i] % multiple[-1 - i]]
    return functional.pad(x, ends, mode="replicate") if max(ends) > 0 else x


def crop_as(x: Tensor, image: Tensor) -> Tensor:
    """The part of a padded tensor (B, C', *padded) that covers the image (B, C, *spatial)."""
    for axis in range(2, image.dim()):
        x = x.narrow(axis, 0, image.shape[axis])
    return x
