"""The network of the method ``resvnet``: two V-Nets with residual blocks in a cascade.

Source: Hao, "Two-Stage Method for Kidney and Tumor Segmentation Based On Cascade Res-VNet", KiTS19.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import ResidualUnit
from torch import Tensor, nn
from torch.nn import functional

from renalseg.networks.common import Norm, crop_as, pad_to_multiple
from renalseg.networks.prelu import prelu_rescale

CONVOLUTIONS = (1, 2, 3, 3, 3)  # of the blocks, full resolution first (V-Net's own)
DILATIONS = (1, 1, 1, 2, 4)  # of the contraction blocks


class ResVNet(nn.Module):
    """V-Net with dilated convolutions in the last two contraction blocks (fig. 4 of the paper).

    Blocks are V-Net's: some convolutions, plus the block's input, then PReLU. The paper does not
    state the kernel; 3 is what dilation is meant to widen, V-Net itself has 5.

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the logits.
        width: Channels of the first level (paper: 16); the deeper levels have 2, 4, 8 and 16 times
            as many.
        norm: MONAI norm layer; the paper does not state one.
        kernel_size: Of the convolutions within the blocks.
        dilations: Of the five contraction blocks.

    Shape:
        input (B, in_channels, X, Y, Z), each a multiple of 16; output logits
        (B, out_channels, X, Y, Z).
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 16,
        norm: Norm = "instance",
        kernel_size: int = 3,
        dilations: Sequence[int] = DILATIONS,
    ) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(len(CONVOLUTIONS))]
        self.encoders = nn.ModuleList(
            _block(in_channels if level == 0 else c, c, count, norm, kernel_size, dilation)
            for level, (c, count, dilation) in enumerate(
                zip(channels, CONVOLUTIONS, dilations, strict=True)
            )
        )
        self.downs = nn.ModuleList(prelu_rescale(3, c, 2 * c, norm) for c in channels[:-1])
        # A decoder block keeps the channels of skip and upsampled features together, as in V-Net.
        self.ups = nn.ModuleList(
            prelu_rescale(3, c if c == channels[-1] else 2 * c, c // 2, norm, up=True)
            for c in channels[1:]
        )
        self.decoders = nn.ModuleList(
            _block(2 * c, 2 * c, count, norm, kernel_size)
            for c, count in zip(channels[:-1], CONVOLUTIONS[:-1], strict=True)
        )
        self.head = nn.Conv3d(2 * width, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of an image."""
        skips: list[Tensor] = []
        for encoder, down in zip(self.encoders, self.downs):
            x = encoder(x)  # (B, w * 2^i, X / 2^i, Y / 2^i, Z / 2^i)
            skips.append(x)
            x = down(x)
        x = self.encoders[-1](x)  # (B, 16w, X/16, Y/16, Z/16)
        x = self.decoders[3](torch.cat([skips[3], self.ups[3](x)], dim=1))
        x = self.decoders[2](torch.cat([skips[2], self.ups[2](x)], dim=1))
        x = self.decoders[1](torch.cat([skips[1], self.ups[1](x)], dim=1))
        x = self.decoders[0](torch.cat([skips[0], self.ups[0](x)], dim=1))
        logits: Tensor = self.head(x)
        return logits


class CascadeResVNet(nn.Module):
    """Two Res-VNets: the second sees the image and what the first found at half resolution.

    Section 2.3 and fig. 5 of the paper. What the second sees of the first are its sigmoid
    probabilities, upsampled, which are bounded like the image.

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the logits, each of them a sigmoid's.
        width: Channels of the first level of both networks (paper: 16).
        norm: MONAI norm layer.
        kernel_size: Of the convolutions within the blocks.
        dilations: Of the five contraction blocks.

    Shape:
        input (B, in_channels, X, Y, Z) of any size, padded inside to a multiple of 32; output
        logits (B, out_channels, X, Y, Z) of the second network, in training mode a list of those of
        the first, upsampled, and those of the second.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 16,
        norm: Norm = "instance",
        kernel_size: int = 3,
        dilations: Sequence[int] = DILATIONS,
    ) -> None:
        super().__init__()
        shared = (out_channels, width, norm, kernel_size, dilations)
        self.first = ResVNet(in_channels, *shared)
        self.second = ResVNet(in_channels + out_channels, *shared)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits of an image."""
        # instance norm needs more than one voxel at the bottom of the first network
        longest = 64 if max(x.shape[2:]) <= 32 else 32
        padded = pad_to_multiple(x, [longest, 32, 32])
        half = functional.avg_pool3d(padded, 2)  # linear interpolation, between pairs of voxels
        coarse = functional.interpolate(self.first(half), scale_factor=2.0, mode="trilinear")
        logits = crop_as(self.second(torch.cat([padded, coarse.sigmoid()], dim=1)), x)
        if self.training:
            return [crop_as(coarse, x), logits]
        return logits


def _block(
    in_channels: int,
    out_channels: int,
    convolutions: int,
    norm: Norm,
    kernel_size: int,
    dilation: int = 1,
) -> nn.Sequential:
    unit = ResidualUnit(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=kernel_size,
        subunits=convolutions,
        dilation=dilation,
        norm=norm,
        act="prelu",
        bias=False,
    )
    return nn.Sequential(unit, nn.PReLU())
