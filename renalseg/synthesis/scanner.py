"""Contrast phases, and how a scanner degrades an ideal CT: blur, kernel, noise, metal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Generator, Tensor
from torch.nn import functional

from renalseg.synthesis.fields import chance, gaussian_blur, smooth_field, uniform

_LOWEST_HU, _HIGHEST_HU = -1024.0, 3071.0  # range of 12 bits
PHASE_SHARES = (0.2, 0.25, 0.4, 0.15)  # portal-venous most often, as in clinical renal CT


class Phase(IntEnum):
    """Contrast phase of an abdominal CT."""

    NON_CONTRAST = 0
    CORTICOMEDULLARY = 1
    PORTAL = 2
    EXCRETORY = 3


def draw_phase(generator: Generator, shares: Sequence[float] = PHASE_SHARES) -> Phase:
    """Draws a contrast phase; `shares` are the shares of the four phases."""
    weights = torch.tensor(list(shares))
    return Phase(int(torch.multinomial(weights, 1, generator=generator)))


@dataclass(frozen=True)
class Scanner:
    """Scanner and protocol.

    Attributes:
        blur_mm: Standard deviation of the in-plane point spread.
        blur_z_mm: The same along z, from the slice thickness.
        noise_hu: Standard deviation of the noise after its own smoothing.
        noise_grain: Standard deviation of that smoothing, in voxels.
        sharpness: Overshoot at edges, as of a bone or lung kernel; 0 for a soft kernel.
        offset_hu: Error of the calibration, from tube voltage, beam hardening and age.
        shading_hu: Amplitude of its slow change over the body.
        metal: Number of metal implants or clips, with their streaks.
    """

    blur_mm: float = 0.7
    blur_z_mm: float = 0.9
    noise_hu: float = 12.0
    noise_grain: float = 0.6
    sharpness: float = 0.0
    offset_hu: float = 0.0
    shading_hu: float = 0.0
    metal: int = 0

    @staticmethod
    def draw(generator: Generator) -> Scanner:
        """Draws a scanner and protocol within the range of clinical use."""
        return Scanner(
            blur_mm=uniform(generator, 0.4, 1.1),
            blur_z_mm=uniform(generator, 0.3, 1.8),
            noise_hu=uniform(generator, 4.0, 30.0),
            noise_grain=uniform(generator, 0.3, 0.9),
            sharpness=uniform(generator, 0.2, 1.2) if chance(generator, 0.3) else 0.0,
            offset_hu=uniform(generator, -14.0, 10.0),
            shading_hu=uniform(generator, 0.0, 6.0),
            metal=int(uniform(generator, 1, 4)) if chance(generator, 0.04) else 0,
        )


def scan(hu: Tensor, spacing: Sequence[float], scanner: Scanner, generator: Generator) -> Tensor:
    """Applies a scanner to an ideal CT.

    Args:
        hu: (X, Y, Z) float32, ideal HU.
        spacing: mm along x, y, z.
        scanner: What it adds.
        generator: Source of all randomness.

    Returns:
        (X, Y, Z) float32, HU.
    """
    streaks = _insert_metal(hu, spacing, scanner.metal, generator)
    sigma = [scanner.blur_mm / spacing[0], scanner.blur_mm / spacing[1]]
    hu = gaussian_blur(hu, [*sigma, scanner.blur_z_mm / spacing[2]])
    if scanner.sharpness:
        wide = [1.0 / spacing[0], 1.0 / spacing[1], 0.0]
        hu = hu + scanner.sharpness * (hu - gaussian_blur(hu, wide))
    if scanner.shading_hu:
        slow = smooth_field(hu.shape, spacing, 120.0, generator)[0]
        hu = hu + scanner.shading_hu * slow
    noise = torch.randn(hu.shape, generator=generator)
    grain = scanner.noise_grain
    noise = gaussian_blur(noise, [grain, grain, grain / 2])
    hu = hu + noise * (scanner.noise_hu / noise.std()) + scanner.offset_hu
    if streaks is not None:
        hu = hu + streaks
    return hu.clamp_(_LOWEST_HU, _HIGHEST_HU)


def _insert_metal(
    hu: Tensor, spacing: Sequence[float], count: int, generator: Generator
) -> Tensor | None:
    """Inserts metal in place; returns the streaks in its slices, HU, or None."""
    body = torch.nonzero(hu > -200) if count else torch.empty(0)
    if not len(body):
        return None
    streaks = torch.zeros_like(hu)
    for _ in range(count):
        center = body[int(torch.randint(len(body), (), generator=generator))].tolist()
        radius = [max(0.6, uniform(generator, 1.5, 7.0) / mm) for mm in spacing]
        x, y, z = (torch.arange(n) - c for n, c in zip(hu.shape, center, strict=True))
        inside = (
            (x[:, None, None] / radius[0]) ** 2
            + (y[None, :, None] / radius[1]) ** 2
            + (z[None, None, :] / radius[2]) ** 2
        ) < 1
        hu[inside] = _HIGHEST_HU
        near = z.abs() <= radius[2]
        angle = torch.atan2(y[None, :].float(), x[:, None].float())
        away_mm = torch.hypot(x[:, None] * spacing[0], y[None, :] * spacing[1])
        rays = _rays(angle, generator) * uniform(generator, 60, 350) / (1 + away_mm / 18.0)
        streaks[:, :, near] += rays[:, :, None]
    return streaks


def _rays(angle: Tensor, generator: Generator, count: int = 48) -> Tensor:
    """Random values that depend only on the direction from the metal."""
    values = torch.randn(count, generator=generator)
    position = (angle + math.pi) / (2 * math.pi) * count
    grid = functional.pad(values[None], (0, 1), mode="circular")[0]
    low = position.floor().long().clamp(0, count - 1)
    share = position - low
    return grid[low] * (1 - share) + grid[low + 1] * share
