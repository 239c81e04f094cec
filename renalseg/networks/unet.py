"""MONAI's U-Net for stacks of slices of any size."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import UNet
from torch import Tensor

from renalseg.networks.common import crop_as, pad_to_multiple


class SliceUNet(UNet):
    """The residual U-Net of MONAI in two dimensions, with instance norm.

    Args:
        in_channels: Slices of a stack, and further channels.
        out_channels: Logits.
        channels: Of each level, from the finest, which has half of the pixels of the image.

    Shape:
        input (B, in_channels, X, Y) of any size, padded inside to a multiple of 16;
        output (B, out_channels, X, Y).
    """

    def __init__(
        self,
        in_channels: int = 6,
        out_channels: int = 4,
        channels: Sequence[int] = (24, 48, 96, 160, 224),
    ) -> None:
        super().__init__(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=out_channels,
            channels=channels,
            strides=[2] * (len(channels) - 1),
            num_res_units=1,
            norm="instance",
            act="leakyrelu",
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return crop_as(self.model(pad_to_multiple(x, [16, 16])), x)
