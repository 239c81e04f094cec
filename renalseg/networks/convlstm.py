"""The network of the method ``convlstm``: a U-Net with ConvLSTM encoder and 3D decoder.

Source: Han and Kang, "Sequence and Spatial Feature Fusion for Kidney and Tumor Segmentation From
CT Volumes", KiTS19.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn

from renalseg.networks.common import Norm, crop_as, pad_to_multiple

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


class ConvLSTM2d(nn.Module):
    """Convolutional LSTM along the slice axis (Shi et al. 2015, eq. 3, without peepholes).

    Both convolutions lie in the slice. The state before the first slice is zero, and the forget
    gate starts open (bias 1), so that slices far away still count at the start of training.

    Args:
        in_channels: Channels of the input sequence.
        hidden_channels: Channels of the hidden state, also of the output.
        kernel_size: Odd in-plane kernel of both convolutions, in pixels.

    Shape:
        input (B, in_channels, X, Y, Z), read slice by slice along Z; output
        (B, hidden_channels, X, Y, Z), the hidden state after each slice.
    """

    def __init__(self, in_channels: int, hidden_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        kernel, padding = (kernel_size, kernel_size, 1), (kernel_size // 2, kernel_size // 2, 0)
        gates = 4 * hidden_channels
        self.from_input = nn.Conv3d(in_channels, gates, kernel, padding=padding)
        self.from_hidden = nn.Conv3d(hidden_channels, gates, kernel, padding=padding, bias=False)
        bias = torch.zeros(gates)
        bias[:hidden_channels] = 1.0  # of the forget gate
        self.from_input.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """The hidden states of all slices."""
        states: list[Tensor] = []
        cell: Tensor | None = None
        for gates in self.from_input(x).split(1, dim=-1):  # Z times (B, 4 * hidden, X, Y, 1)
            if states:  # the state before the first slice is zero, and so is what it adds
                gates = gates + self.from_hidden(states[-1])
            forget, enter, leave, new = gates.chunk(4, dim=1)
            entering = enter.sigmoid() * new.tanh()
            cell = entering if cell is None else forget.sigmoid() * cell + entering
            states.append(leave.sigmoid() * cell.tanh())
        return torch.cat(states, dim=-1)
