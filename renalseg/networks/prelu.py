"""Convolutions of V-Nets: with norm and PReLU, at strides 1 and 2."""

from __future__ import annotations

from monai.networks.blocks import Convolution

from renalseg.networks.common import Norm


def prelu_conv(
    dims: int,
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    norm: Norm = "batch",
    dilation: int = 1,
) -> Convolution:
    """Convolution that keeps the size, norm, PReLU.

    Args:
        dims: Spatial axes.
        in_channels: Of the input.
        out_channels: Of the output.
        kernel_size: Odd, along each axis.
        norm: MONAI norm layer.
        dilation: Of the kernel.
    """
    return Convolution(
        dims,
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        dilation=dilation,
        norm=norm,
        act="prelu",
        bias=False,
    )


def prelu_rescale(
    dims: int, in_channels: int, out_channels: int, norm: Norm = "batch", up: bool = False
) -> Convolution:
    """Convolution of kernel and stride 2 that halves the size, or its transpose that doubles it.

    Args:
        dims: Spatial axes.
        in_channels: Of the input.
        out_channels: Of the output.
        norm: MONAI norm layer.
        up: Double the size.
    """
    return Convolution(
        dims,
        in_channels,
        out_channels,
        kernel_size=2,
        strides=2,
        padding=0,
        output_padding=0 if up else None,
        is_transposed=up,
        norm=norm,
        act="prelu",
        bias=False,
    )
