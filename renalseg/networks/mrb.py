"""The segmentation network of the method ``mrb``: a 3D U-Net of multiple-scale residual blocks.

Source: Qiao, Zhao and Liu, "Automatic segmentation of kidney and kidney tumor based on 3D
convolutional neural networks", KiTS19. Its auxiliary networks are in `renalseg.networks.locator`.
"""

from __future__ import annotations

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn

from renalseg.networks.common import Norm, crop_as, pad_to_multiple

LEVELS = 5  # 128 x 128 x 80 voxels are 8 x 8 x 5 at the bottom


class MRB(nn.Module):
    """Multiple-scale residual block (Fig. 3 of the paper).

    A cascade of 3x3x3 convolutions sees 3, 5 and 7 voxels across; all three features are
    concatenated, a 1x1x1 convolution reduces them, and a shortcut adds the input.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output and of each convolution.
        norm: MONAI norm layer.

    Shape:
        input (B, in_channels, X, Y, Z); output (B, out_channels, X, Y, Z).
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.cascade = nn.ModuleList(
            _conv(c, out_channels, norm) for c in (in_channels, out_channels, out_channels)
        )
        self.reduce = _conv(3 * out_channels, out_channels, norm, kernel_size=1, act=None)
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else _conv(in_channels, out_channels, norm, kernel_size=1, act=None)
        )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Features at all three scales."""
        features: list[Tensor] = []
        for conv in self.cascade:
            features.append(conv(features[-1] if features else x))
        out: Tensor = self.act(self.reduce(torch.cat(features, dim=1)) + self.shortcut(x))
        return out


class MRBUNet(nn.Module):
    """3D U-Net of MRBs whose skips also carry the next deeper level (Fig. 2 of the paper).

    "More transpose convolution layers" bring the features of each encoder level to the skip above
    it, so that the skips of the lower levels know what the higher ones found. The number of levels,
    the width and the norm are not stated in the paper.

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the logits; two nested sigmoids, kidney with tumor, and tumor.
        width: Channels of the first level (our reading of the paper: 32); each deeper level has
            twice as many.
        norm: MONAI norm layer.
        supervised: Whether training also sees the two levels below (paper: not stated).

    Shape:
        input (B, in_channels, X, Y, Z) of any size, padded inside to a multiple of 16;
        output logits (B, out_channels, X, Y, Z); if supervised, in training mode a list of these
        and of those of the levels below, at their own resolution.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        width: int = 32,
        norm: Norm = "instance",
        supervised: bool = False,
    ) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(LEVELS)]
        self.encoders = nn.ModuleList(
            MRB(before, c, norm)
            for before, c in zip([in_channels, *channels], channels, strict=False)
        )
        self.pool = nn.MaxPool3d(2)
        self.skip_ups = nn.ModuleList(_up(2 * c, c) for c in channels[:-1])
        self.ups = nn.ModuleList(_up(2 * c, c) for c in channels[:-1])
        self.decoders = nn.ModuleList(MRB(3 * c, c, norm) for c in channels[:-1])
        self.head = nn.Conv3d(width, out_channels, kernel_size=1)
        self.deeper = nn.ModuleList(
            nn.Conv3d(c, out_channels, kernel_size=1) for c in channels[1:3] if supervised
        )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits of an image; in training, if supervised, also those of deeper levels."""
        features = [pad_to_multiple(x, [16, 16, 16])]
        for i, encoder in enumerate(self.encoders):
            features.append(encoder(self.pool(features[-1]) if i else features[-1]))
        y = features[-1]  # of level i (B, w * 2^i, X / 2^i, Y / 2^i, Z / 2^i)
        # Each skip: the level's own features, and those of the next deeper encoder level.
        skips: list[Tensor] = []
        for i, skip_up in enumerate(self.skip_ups):
            skips.append(torch.cat([features[i + 1], skip_up(features[i + 2])], dim=1))
        y = self.decoders[3](torch.cat([skips[3], self.ups[3](y)], dim=1))
        up3 = self.decoders[2](torch.cat([skips[2], self.ups[2](y)], dim=1))
        up2 = self.decoders[1](torch.cat([skips[1], self.ups[1](up3)], dim=1))
        up1 = self.decoders[0](torch.cat([skips[0], self.ups[0](up2)], dim=1))
        logits = crop_as(self.head(up1), x)
        if not self.training or len(self.deeper) == 0:
            return logits
        outputs = [logits]
        for head, deep in zip(self.deeper, (up2, up3)):
            outputs.append(head(deep))
        return outputs


def _up(in_channels: int, out_channels: int) -> nn.ConvTranspose3d:
    return nn.ConvTranspose3d(in_channels, out_channels, kernel_size=2, stride=2)


def _conv(
    in_channels: int,
    out_channels: int,
    norm: Norm,
    kernel_size: int = 3,
    act: str | None = "relu",
) -> Convolution:
    return Convolution(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=kernel_size,
        norm=norm,
        act=act if act is None else (act, {"inplace": True}),
        bias=False,
    )
