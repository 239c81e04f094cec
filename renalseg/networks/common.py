"""Shared parts of the networks: padding to any size, norm type, and memory layout.

The functions on tensors and the networks keep to the part of Python that TorchScript compiles,
because MONAI exports bundles in that form.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Norm = str | tuple[str, dict[str, Any]]  # MONAI's name of a norm layer, with options or without


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


def channels_last(network: nn.Module) -> nn.Module:
    """Stores the weights of 3D convolutions channels-last, in place.

    3D convolutions of small width run faster in this layout, on CPUs too. Weights of 2D
    convolutions stay as they are: ``Module.to(memory_format=...)`` refuses networks that have both,
    and with torch 2.13 the gradients of a ResNet-34 in that layout corrupt the heap on CPUs in
    float32.
    """
    for parameter in network.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    return network
