"""The network of the method ``sehdc``: a 3D U-Net with SE-HDC and dual attention.

Source: Liu, "Coarse to Fine Framework for Kidney Tumor Segmentation", KiTS19.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import ChannelSELayer, Convolution
from torch import Tensor, nn

from renalseg.networks.attention import (
    ChannelAttention3d,
    DualAttention3d,
    PositionAttention3d,
)
from renalseg.networks.common import Norm, crop_as, pad_to_multiple

STRIDES = ((2, 2, 1), (2, 2, 2), (2, 2, 2))  # x, y, z of the three down-sampling convolutions
DILATIONS = (1, 2, 5, 1, 2)
LEAKY_RELU = ("leakyrelu", {"negative_slope": 0.01, "inplace": True})


class SEHDC(nn.Sequential):
    """Squeeze-excitation hybrid dilated convolutions (section 2.2 of the paper).

    Args:
        channels: Channels of the input, also of the output.
        norm: MONAI norm layer.
        dilations: Dilation of each 3x3x3 convolution; SE recalibrates after each.

    Shape:
        input and output (B, channels, X, Y, Z).
    """

    def __init__(
        self,
        channels: int,
        norm: Norm,
        dilations: Sequence[int] = DILATIONS,
    ) -> None:
        layers: list[nn.Module] = []
        for dilation in dilations:
            layers.append(_conv(channels, channels, norm, dilation=dilation))
            layers.append(ChannelSELayer(3, channels, r=min(16, channels)))
        super().__init__(*layers)


class ConvolvedDualAttention(nn.Module):
    """Dual attention with a 3x3x3 convolution before and after each attention.

    Table 1 of the paper gives its dual attention kernels of 3x3x3, which Fu et al. have in their
    own code: one convolution into each attention, and one out of it.

    Args:
        channels: Channels of the input, also of the output.
        norm: MONAI norm layer.

    Shape:
        input and output (B, channels, X, Y, Z).
    """

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.position, self.channel = (
            nn.Sequential(_conv(channels, channels, norm), part, _conv(channels, channels, norm))
            for part in (PositionAttention3d(channels), ChannelAttention3d())
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        out: Tensor = self.position(x) + self.channel(x)
        return out


class SEHDCUNet(nn.Module):
    """3D U-Net with SE-HDC and dual attention at the bottom (Table 1 of the paper).

    The coarse and the fine network of the paper are this network with one sigmoid channel and
    with three softmax channels.

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the logits.
        width: Channels of the first level (paper: 24); the deeper levels have 2, 4 and 8 times
            as many.
        norm: MONAI norm layer; the paper does not state one.
        convolved_attention: Whether dual attention has its 3x3x3 convolutions (paper: True).
        supervised: Whether training also sees the two levels below (paper: False).

    Shape:
        input (B, in_channels, X, Y, Z) of any size over (8, 8, 4), padded inside to a multiple;
        output logits (B, out_channels, X, Y, Z); if supervised, in training mode a list of these
        and of those of the levels below, at their own resolution.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 24,
        norm: Norm = "instance",
        convolved_attention: bool = False,
        supervised: bool = False,
    ) -> None:
        super().__init__()
        channels = [width, 2 * width, 4 * width, 8 * width]
        self.stem = _conv(in_channels, width, norm)
        self.downs = nn.ModuleList(
            _conv(channels[i], channels[i + 1], norm, strides=stride)
            for i, stride in enumerate(STRIDES)
        )
        self.convs = nn.ModuleList(_conv(c, c, norm) for c in channels[1:3])
        deepest = channels[3]
        attention = (
            ConvolvedDualAttention(deepest, norm)
            if convolved_attention
            else DualAttention3d(deepest)
        )
        self.bottom = nn.Sequential(SEHDC(deepest, norm), attention)
        self.ups = nn.ModuleList(
            nn.ConvTranspose3d(channels[i + 1], channels[i], kernel_size=stride, stride=stride)
            for i, stride in enumerate(STRIDES)
        )
        self.merges = nn.ModuleList(
            nn.Sequential(_conv(2 * c, c, norm), _conv(c, c, norm)) for c in channels[:3]
        )
        self.head = nn.Conv3d(width, out_channels, kernel_size=1)
        self.deeper = nn.ModuleList(
            nn.Conv3d(c, out_channels, kernel_size=1) for c in channels[1:3] if supervised
        )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits of an image; in training, if supervised, also those of deeper levels."""
        padded = pad_to_multiple(x, [8, 8, 4])
        level1 = self.stem(padded)  # (B, w, X, Y, Z)
        level2 = self.convs[0](self.downs[0](level1))  # (B, 2w, X/2, Y/2, Z)
        level3 = self.convs[1](self.downs[1](level2))  # (B, 4w, X/4, Y/4, Z/2)
        y = self.bottom(self.downs[2](level3))  # (B, 8w, X/8, Y/8, Z/4)
        up3 = self.merges[2](torch.cat([level3, self.ups[2](y)], dim=1))
        up2 = self.merges[1](torch.cat([level2, self.ups[1](up3)], dim=1))
        up1 = self.merges[0](torch.cat([level1, self.ups[0](up2)], dim=1))
        logits = crop_as(self.head(up1), x)
        if not self.training or len(self.deeper) == 0:
            return logits
        outputs = [logits]
        for head, features in zip(self.deeper, (up2, up3)):
            outputs.append(head(features))
        return outputs


def _conv(
    in_channels: int,
    out_channels: int,
    norm: Norm,
    strides: Sequence[int] | int = 1,
    dilation: int = 1,
) -> Convolution:
    return Convolution(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        strides=strides,
        kernel_size=3,
        dilation=dilation,
        norm=norm,
        act=LEAKY_RELU,
        bias=False,
    )
