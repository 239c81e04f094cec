"""Dual attention for volumes.

Source: Fu et al. 2019, "Dual Attention Network for Scene Segmentation", in three dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class PositionAttention3d(nn.Module):
    """Every voxel attends to every voxel of the feature map (Fu et al. 2019, eq. 1 and 2).

    The attention matrix has (X * Y * Z)^2 entries; it is never held in whole, because
    ``scaled_dot_product_attention`` works through it in tiles.

    Args:
        channels: Channels of the input, also of the output.
        reduction: Queries and keys have ``channels // reduction`` channels (paper: 8).

    Shape:
        input and output (B, channels, X, Y, Z).
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.query = nn.Conv3d(channels, inner, kernel_size=1)
        self.key = nn.Conv3d(channels, inner, kernel_size=1)
        self.value = nn.Conv3d(channels, channels, kernel_size=1)
        self.gamma = nn.Parameter(torch.zeros(1))  # starts as the identity, as in the paper

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        # (B, C, X, Y, Z) -> (B, 1 head, N voxels, C); the paper does not scale the products
        query = self.query(x).flatten(2).transpose(1, 2).unsqueeze(1)
        key = self.key(x).flatten(2).transpose(1, 2).unsqueeze(1)
        value = self.value(x).flatten(2).transpose(1, 2).unsqueeze(1)
        attended = functional.scaled_dot_product_attention(query, key, value, scale=1.0)
        out: Tensor = self.gamma * attended.squeeze(1).transpose(1, 2).reshape(x.shape) + x
        return out


class ChannelAttention3d(nn.Module):
    """Every channel attends to every channel (Fu et al. 2019, eq. 3 and 4).

    Shape:
        input and output (B, C, X, Y, Z).
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        features = x.flatten(2)  # (B, C, N)
        # The mean over voxels, not the sum of the paper: the energies then do not depend on
        # the patch size, and the softmax does not saturate on a patch of 8,000 voxels.
        energy = features @ features.transpose(1, 2) / features.shape[-1]  # (B, C, C)
        # Least similar channels weigh most, as in the authors' own code.
        attention = (energy.amax(dim=-1, keepdim=True) - energy).softmax(dim=-1)
        out: Tensor = self.gamma * (attention @ features).reshape(x.shape) + x
        return out


class DualAttention3d(nn.Module):
    """Sum of position and channel attention (Fu et al. 2019, fig. 2).

    Args:
        channels: Channels of the input, also of the output.

    Shape:
        input and output (B, channels, X, Y, Z).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.position = PositionAttention3d(channels)
        self.channel = ChannelAttention3d()

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        out: Tensor = self.position(x) + self.channel(x)
        return out
