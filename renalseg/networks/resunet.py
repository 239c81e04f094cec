"""The kidney network of the method ``msvnet``: a 3D residual U-Net with deep supervision.

Source: the KiTS19 paper of this method, section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from renalseg.networks.common import Norm, crop_as, pad_to_multiple
from renalseg.networks.prelu import prelu_conv, prelu_rescale

# Dilations of the 3x3x3 convolutions of a stage, top to bottom; the third and deeper are dilated.
ENCODER = ((1,), (1, 1), (1, 2, 4), (1, 2, 4))
DECODER = ((1, 2, 4), (1, 1, 1), (1, 1, 1), (1, 1))  # bottom to top


class ResidualStage(nn.Module):
    """3x3x3 convolutions whose output is added to a shortcut.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        dilations: One convolution each.
        norm: MONAI norm layer.

    Shape:
        input (B, in_channels, X, Y, Z); shortcut and output (B, channels, X, Y, Z).
    """

    def __init__(
        self, in_channels: int, channels: int, dilations: Sequence[int], norm: Norm
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *(
                prelu_conv(3, channels if i else in_channels, channels, norm=norm, dilation=d)
                for i, d in enumerate(dilations)
            )
        )

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """Features of the stage."""
        out: Tensor = self.convs(x) + shortcut
        return out


class ResUNet(nn.Module):
    """3D residual U-Net of four encoder and four decoder stages, each of the latter supervised.

    A stage adds its input, brought to its resolution and channels by a strided convolution, to its
    output. The first decoder stage works on the deepest encoder stage without another
    down-sampling, so four and four stages meet at four resolutions.

    Args:
        in_channels: Channels of the image; it is added to every channel of the first stage, so
            1 or `width`.
        out_channels: Channels of the logits.
        width: Channels of the first stage (paper: 16, up to 16 times as many at the bottom).
        norm: MONAI norm layer; the paper does not state one.

    Shape:
        input (B, in_channels, X, Y, Z) of any size, padded inside to a multiple of 8. In evaluation
        the output is the logits (B, out_channels, X, Y, Z) of the last decoder stage. In training
        it is a list of four such tensors: the last stage, then the first to the third, each brought
        to the size of the input by trilinear interpolation.
    """

    def __init__(
        self, in_channels: int = 1, out_channels: int = 1, width: int = 16, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        encoder = [width, 2 * width, 4 * width, 8 * width]
        decoder = [16 * width, 8 * width, 4 * width, 2 * width]
        self.encoder = nn.ModuleList(
            ResidualStage(c if i else in_channels, c, ENCODER[i], norm)
            for i, c in enumerate(encoder)
        )
        self.downs = nn.ModuleList(prelu_rescale(3, a, b, norm) for a, b in pairwise(encoder))
        self.widen = prelu_conv(3, encoder[3], decoder[0], norm=norm)
        self.ups = nn.ModuleList(
            prelu_rescale(3, a, b, norm, up=True) for a, b in pairwise(decoder)
        )
        inputs = [encoder[3], *(a + b for a, b in zip(decoder[1:], encoder[2::-1], strict=True))]
        self.decoder = nn.ModuleList(
            ResidualStage(a, c, dilations, norm)
            for a, c, dilations in zip(inputs, decoder, DECODER, strict=True)
        )
        self.maps = nn.ModuleList(nn.Conv3d(c, out_channels, kernel_size=1) for c in decoder)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits of an image; in training also those of the deeper decoder stages."""
        padded = pad_to_multiple(x, [8, 8, 8])
        level1 = self.encoder[0](padded, padded)  # (B, w, X, Y, Z)
        down = self.downs[0](level1)
        level2 = self.encoder[1](down, down)  # (B, 2w, X/2, Y/2, Z/2)
        down = self.downs[1](level2)
        level3 = self.encoder[2](down, down)  # (B, 4w, X/4, Y/4, Z/4)
        down = self.downs[2](level3)
        level4 = self.encoder[3](down, down)  # (B, 8w, X/8, Y/8, Z/8)
        stage1 = self.decoder[0](level4, self.widen(level4))  # (B, 16w, X/8, Y/8, Z/8)
        up = self.ups[0](stage1)
        stage2 = self.decoder[1](torch.cat([up, level3], dim=1), up)  # (B, 8w, X/4, Y/4, Z/4)
        up = self.ups[1](stage2)
        stage3 = self.decoder[2](torch.cat([up, level2], dim=1), up)  # (B, 4w, X/2, Y/2, Z/2)
        up = self.ups[2](stage3)
        stage4 = self.decoder[3](torch.cat([up, level1], dim=1), up)  # (B, 2w, X, Y, Z)
        logits = crop_as(self.maps[3](stage4), x)
        if not self.training:
            return logits
        outputs = [logits]
        for deeper in (self.maps[0](stage1), self.maps[1](stage2), self.maps[2](stage3)):
            full = functional.interpolate(deeper, padded.shape[2:], mode="trilinear")
            outputs.append(crop_as(full, x))
        return outputs
