"""The network of the method ``convlstm``: a U-Net with ConvLSTM encoder and 3D decoder.

Source: Han and Kang, "Sequence and Spatial Feature Fusion for Kidney and Tumor Segmentation From
CT Volumes", KiTS19.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn

from renalseg.networks.norm import Norm
from renalseg.networks.padding import crop_as, pad_to_multiple
from renalseg.networks.recurrent import ConvLSTM2d

POOLS = ((2, 2, 2), (2, 2, 1), (2, 2, 1), (2, 2, 1))  # x, y, z below each level but the last


class ConvLSTMUNet(nn.Module):
    """U-Net that reads the slices in sequence and decodes them in 3D (Table 1 of the paper).

    The coarse and the fine network of the paper are this network with two and with three classes.

    Args:
        in_channels: Channels of the image.
        out_channels: Classes of the softmax.
        width: Channels of the first level (paper: 32); each deeper level has twice as many.
        norm: MONAI norm layer (paper: batch).

    Shape:
        input (B, in_channels, X, Y, Z) of any size, padded inside to a multiple of (16, 16, 2);
        output logits (B, out_channels, X, Y, Z).
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 3,
        width: int = 32,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(len(POOLS) + 1)]
        self.encoders = nn.ModuleList(
            nn.Sequential(_conv(before, c, (5, 5, 1), norm), ConvLSTM2d(c, c))
            for before, c in zip([in_channels, *channels], channels, strict=False)
        )
        self.pools = nn.ModuleList(nn.MaxPool3d(pool) for pool in POOLS)
        self.ups = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=pool, mode="trilinear"),
                nn.ConstantPad3d((0, 1, 0, 1, 0, 1), 0.0),  # what an even kernel lacks, at the ends
                _conv(channels[i + 1], channels[i], 2, norm, padding=0),
            )
            for i, pool in enumerate(POOLS)
        )
        self.merges = nn.ModuleList(_conv(2 * c, c, 3, norm) for c in channels[:-1])
        self.head = nn.Conv3d(width, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of an image."""
        y = pad_to_multiple(x, [16, 16, 2])
        skips: list[Tensor] = []
        for encoder, pool in zip(self.encoders, self.pools):
            skips.append(encoder(y))  # (B, w * 2^i, X / 2^i, Y / 2^i, Z or Z / 2)
            y = pool(skips[-1])
        y = self.encoders[-1](y)  # (B, 16w, X / 16, Y / 16, Z / 2)
        y = self.merges[3](torch.cat([skips[3], self.ups[3](y)], dim=1))
        y = self.merges[2](torch.cat([skips[2], self.ups[2](y)], dim=1))
        y = self.merges[1](torch.cat([skips[1], self.ups[1](y)], dim=1))
        y = self.merges[0](torch.cat([skips[0], self.ups[0](y)], dim=1))
        return crop_as(self.head(y), x)


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: Sequence[int] | int,
    norm: Norm,
    padding: int | None = None,
) -> Convolution:
    return Convolution(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=kernel_size,
        padding=padding,
        norm=norm,
        act=("relu", {"inplace": True}),
        bias=False,
    )
