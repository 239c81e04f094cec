"""Smooth random fields, the source of every irregular shape and texture of the synthesis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def uniform(generator: Generator, low: float, high: float) -> float:
    """Draws a number uniformly from [low, high)."""
    return low + (high - low) * torch.rand((), generator=generator).item()


def chance(generator: Generator, probability: float) -> bool:
    """True with the given probability."""
    return torch.rand((), generator=generator).item() < probability


def smooth_field(
    shape: Sequence[int],
    spacing: Sequence[float],
    length_mm: float,
    generator: Generator,
    channels: int = 1,
) -> Tensor:
    """Smooth Gaussian-like noise of about unit variance at its nodes.

    Args:
        shape: (X, Y, Z).
        spacing: mm along x, y, z.
        length_mm: Distance between the independent nodes that are interpolated linearly.
        generator: Source of the noise.
        channels: Number of independent fields.

    Returns:
        (channels, X, Y, Z) float32.
    """
    nodes = [max(2, round(n * mm / length_mm) + 1) for n, mm in zip(shape, spacing, strict=True)]
    field = torch.randn((channels, *nodes), generator=generator)
    for axis, (size, count) in reversed(list(enumerate(zip(shape, nodes, strict=True), start=1))):
        field = _interpolate(field, axis, size, count)
    return field


def _interpolate(field: Tensor, axis: int, size: int, nodes: int) -> Tensor:
    """Interpolates linearly along an axis, much faster on a CPU than torch does along all three."""
    place = torch.arange(size) * ((nodes - 1) / max(1, size - 1))
    before = place.long().clamp(max=nodes - 2)
    share = (place - before).reshape(-1, *[1] * (field.ndim - 1 - axis))
    return torch.lerp(field.index_select(axis, before), field.index_select(axis, before + 1), share)


def gaussian_blur(volume: Tensor, sigma: Sequence[float]) -> Tensor:
    """Gaussian blur along each axis, the border repeated.

    Args:
        volume: (X, Y, Z) float32.
        sigma: Standard deviation along x, y, z, in voxels; 0 leaves an axis unchanged.
    """
    for axis, s in enumerate(sigma):
        if s < 0.1:
            continue
        radius = max(1, round(3 * s))
        taps = torch.exp(-0.5 * (torch.arange(radius + 1) / s) ** 2)
        weights = (taps / (2 * taps.sum() - taps[0])).tolist()
        count = volume.shape[axis]
        ends = torch.arange(-radius, count + radius).clamp_(0, count - 1)
        wide = volume.index_select(axis, ends)
        # sums of shifted copies: much faster on a CPU than a convolution of one channel
        volume = weights[0] * wide.narrow(axis, radius, count)
        for shift, tap in enumerate(weights[1:], start=1):
            volume.add_(wide.narrow(axis, radius - shift, count), alpha=tap)
            volume.add_(wide.narrow(axis, radius + shift, count), alpha=tap)
    return volume
