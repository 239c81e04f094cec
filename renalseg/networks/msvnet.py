"""The tumor network of the method ``msvnet``: a 2.5D multi-scale VNet.

Source: the KiTS19 paper of this method, section 3.2; V-Net is Milletari et al. 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import ChannelSELayer
from monai.networks.nets.attentionunet import AttentionBlock
from torch import Tensor, nn
from torch.nn import functional

from renalseg.networks.common import Norm, crop_as, pad_to_multiple
from renalseg.networks.prelu import prelu_conv, prelu_rescale

CONVOLUTIONS = (1, 2, 3, 3)  # 5x5, of the levels above the bottom; as in V-Net
DILATIONS = (2, 3, 5)  # of the 3x3 convolutions at the bottom


class ResidualStack(nn.Module):
    """Residual convolutions, added to their input before the last activation (V-Net, fig. 2).

    Args:
        channels: Channels of the input, also of the output.
        dilations: One convolution each.
        norm: MONAI norm layer.
        kernel_size: In pixels.

    Shape:
        input and output (B, channels, X, Y).
    """

    def __init__(
        self, channels: int, dilations: Sequence[int], norm: Norm, kernel_size: int = 5
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *(prelu_conv(2, channels, channels, kernel_size, norm, d) for d in dilations)
        )
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        out: Tensor = self.act(self.convs(x) + x)
        return out


class ScaleDown(nn.Module):
    """Down-sampling that takes in a smaller copy of the image and recalibrates the channels.

    Args:
        channels: Channels of the features; the output has twice as many.
        image_channels: Channels of the image.
        norm: MONAI norm layer.

    Shape:
        features (B, channels, X, Y) and image (B, image_channels, X/2, Y/2);
        output (B, 2 * channels, X/2, Y/2).
    """

    def __init__(self, channels: int, image_channels: int, norm: Norm) -> None:
        super().__init__()
        self.down = prelu_rescale(2, channels, 2 * channels, norm)
        self.branch = prelu_conv(2, image_channels, channels, norm=norm)
        self.fuse = prelu_conv(2, 3 * channels, 2 * channels, 1, norm)
        self.recalibrate = ChannelSELayer(2, 2 * channels, r=min(16, 2 * channels))

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Features of the next level."""
        both = torch.cat([self.down(features), self.branch(image)], dim=1)
        out: Tensor = self.recalibrate(self.fuse(both))
        return out


class GatedUp(nn.Module):
    """Up-sampling that is joined with the attention-gated features of the encoder.

    Args:
        in_channels: Channels of the lower level.
        channels: Channels of the encoder's features; the output has twice as many.
        convolutions: 5x5 convolutions after the two are joined.
        norm: MONAI norm layer; the gate has MONAI's batch norm in any case.

    Shape:
        lower (B, in_channels, X/2, Y/2) and skip (B, channels, X, Y);
        output (B, 2 * channels, X, Y).
    """

    def __init__(self, in_channels: int, channels: int, convolutions: int, norm: Norm) -> None:
        super().__init__()
        self.up = prelu_rescale(2, in_channels, channels, norm, up=True)
        self.gate = AttentionBlock(2, f_int=max(1, channels // 2), f_g=channels, f_l=channels)
        self.merge = ResidualStack(2 * channels, [1] * convolutions, norm)

    def forward(self, lower: Tensor, skip: Tensor) -> Tensor:
        """Features of the level of the skip."""
        up = self.up(lower)
        out: Tensor = self.merge(torch.cat([up, self.gate(g=up, x=skip)], dim=1))
        return out


class MultiScaleVNet(nn.Module):
    """2.5D VNet that segments the center slice of a stack of slices.

    V-Net of five levels on slices, with the image pyramid and squeeze-excitation at each
    down-sampling, attention gates on the skips, and hybrid dilated convolutions at the bottom.

    Args:
        in_channels: Slices of a stack.
        out_channels: Channels of the logits.
        width: Channels of the first level (V-Net: 16, up to 16 times as many at the bottom).
        norm: MONAI norm layer; the paper does not state one.

    Shape:
        input (B, in_channels, X, Y) of any size, padded inside to a multiple of 16;
        output logits (B, out_channels, X, Y) of the center slice.
    """

    def __init__(
        self, in_channels: int = 5, out_channels: int = 1, width: int = 16, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        channels = [width, 2 * width, 4 * width, 8 * width]
        self.stem = prelu_conv(2, in_channels, width, 1, norm)
        self.downs = nn.ModuleList(ScaleDown(c, in_channels, norm) for c in channels)
        self.encoder = nn.ModuleList(
            ResidualStack(c, [1] * n, norm) for c, n in zip(channels, CONVOLUTIONS, strict=True)
        )
        self.bottom = ResidualStack(16 * width, DILATIONS, norm, kernel_size=3)
        lower = [4 * width, 8 * width, 16 * width, 16 * width]
        self.ups = nn.ModuleList(
            GatedUp(a, c, n, norm) for a, c, n in zip(lower, channels, CONVOLUTIONS, strict=True)
        )
        self.head = nn.Conv2d(2 * width, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the center slices."""
        image = pad_to_multiple(x, [16, 16])
        y = self.stem(image)
        skips: list[Tensor] = []
        for encode, down in zip(self.encoder, self.downs):
            skips.append(encode(y))  # (B, w, X, Y) to (B, 8w, X/8, Y/8)
            image = functional.avg_pool2d(image, 2)
            y = down(skips[-1], image)
        y = self.bottom(y)  # (B, 16w, X/16, Y/16)
        y = self.ups[3](y, skips[3])  # (B, 16w, X/8, Y/8)
        y = self.ups[2](y, skips[2])
        y = self.ups[1](y, skips[1])
        y = self.ups[0](y, skips[0])  # (B, 2w, X, Y)
        return crop_as(self.head(y), x)
