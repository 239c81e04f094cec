"""A U-Net for stacks of slices of any size, whose encoder is EfficientNet-Lite0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn
from torch.nn import functional

from renalseg.networks.common import crop_as, pad_to_multiple

_STEM = 32
_LEVELS = (
    ((3, 1, 1, 16, 1),),
    ((3, 2, 6, 24, 2),),
    ((5, 2, 6, 40, 2),),
    ((3, 2, 6, 80, 3), (5, 1, 6, 112, 3)),
    ((5, 2, 6, 192, 4), (3, 1, 6, 320, 1)),
)  # Tan and Le 2019, table 1: kernel, stride of the first block, expansion, channels, blocks


class SliceUNet(nn.Module):
    """EfficientNet-Lite0 without its head, and a decoder of one convolution a level.

    The encoder (Tan and Le 2019, without squeeze and excitation) has no normalization: that of the
    weights it starts from is folded into its convolutions (`renalseg.training.imagenet`).

    Args:
        in_channels: Slices of a stack, and further channels.
        out_channels: Logits.
        channels: Of the decoder, from the finest level, which has half of the pixels of the image.

    Shape:
        input (B, in_channels, X, Y) of any size, padded inside to a multiple of 32;
        output (B, out_channels, X, Y).
    """

    def __init__(
        self,
        in_channels: int = 6,
        out_channels: int = 4,
        channels: Sequence[int] = (32, 48, 64, 96),
    ) -> None:
        super().__init__()
        inputs = _STEM
        self.encoder = nn.ModuleList()
        for stages in _LEVELS:
            level: list[nn.Module] = []
            if not len(self.encoder):
                level += [*_same_conv(in_channels, inputs, 3, 2), nn.ReLU6()]
            for kernel, stride, expansion, outputs, count in stages:
                for block in range(count):
                    first = stride if block == 0 else 1
                    level.append(InvertedBottleneck(inputs, outputs, kernel, first, expansion))
                    inputs = outputs
            self.encoder.append(nn.Sequential(*level))
        self.decoder = nn.ModuleList()
        for outputs, stages in zip(reversed(channels), reversed(_LEVELS[:-1])):
            skip = stages[-1][3]
            self.decoder.append(
                Convolution(2, inputs + skip, outputs, norm="instance", act="leakyrelu", bias=False)
            )
            inputs = outputs
        self.head = nn.ConvTranspose2d(inputs, out_channels, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        y = pad_to_multiple(x, [32, 32])
        skips: list[Tensor] = []
        for level in self.encoder:
            y = level(y)
            skips.append(y)
        skips.pop()
        for convolution in self.decoder:
            y = functional.interpolate(y, scale_factor=2.0)
            y = convolution(torch.cat([y, skips.pop()], dim=1))
        return crop_as(self.head(y), x)

    def parameter_groups(self, learning_rate: float, encoder: float) -> list[dict[str, Any]]:
        """The parameters for an optimizer.

        Args:
            learning_rate: Of the decoder, which starts from nothing.
            encoder: The share of it at which the encoder learns.
        """
        fresh = [*self.decoder.parameters(), *self.head.parameters()]
        return [
            {"params": fresh, "lr": learning_rate},
            {"params": list(self.encoder.parameters()), "lr": learning_rate * encoder},
        ]


class InvertedBottleneck(nn.Module):
    """Expansion, depthwise convolution and projection; a residual where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers: list[nn.Module] = [nn.Conv2d(inputs, inner, 1), nn.ReLU6()] if expansion > 1 else []
        layers += [*_same_conv(inner, inner, kernel, stride, inner), nn.ReLU6()]
        self.body = nn.Sequential(*layers, nn.Conv2d(inner, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Features of (B, outputs, X / stride, Y / stride)."""
        y: Tensor = self.body(x)
        return x + y if self.residual else y


def _same_conv(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1
) -> list[nn.Module]:
    """A convolution of images of even size, padded as TensorFlow does it: at the end where odd."""
    both, odd = divmod(kernel - stride, 2)
    padding: list[nn.Module] = [nn.ZeroPad2d((0, odd, 0, odd))] if odd else []
    return [*padding, nn.Conv2d(inputs, outputs, kernel, stride, both, groups=groups)]
