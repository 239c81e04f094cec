"""Random deformation of a training patch's grid in a patient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from renalseg.synthesis.fields import chance, smooth_field, uniform
from renalseg.synthesis.tissues import Anatomy


class Deformation(NamedTuple):
    """How the grid of a patch is deformed.

    Attributes:
        affine: Draws the matrix (3, 3) that turns, scales and mirrors it.
        elastic_mm: Amplitude of a smooth displacement, at most.
    """

    affine: Callable[[Generator], Tensor]
    elastic_mm: float


def draw_grid(
    roi_size: Sequence[int],
    spacing: Sequence[float],
    generator: Generator,
    deformation: Deformation | None = None,
) -> Tensor:
    """A rotated, scaled, sheared and elastically deformed grid of voxel centers.

    Args:
        roi_size: Voxels along R, A, S.
        spacing: mm along R, A, S.
        generator: Source of all randomness.
        deformation: How it is deformed; None for `EVERY_PATCH`.

    Returns:
        (3, X, Y, Z) float32, mm along R, A, S from the middle of the grid.
    """
    axes = [(torch.arange(n) - (n - 1) / 2) * mm for n, mm in zip(roi_size, spacing, strict=True)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    affine, elastic_mm = deformation or EVERY_PATCH
    grid = torch.einsum("ab,bxyz->axyz", affine(generator), grid)
    if elastic_mm:
        amplitude = uniform(generator, 0.0, elastic_mm)
        grid += amplitude * smooth_field(
            roi_size, spacing, uniform(generator, 25, 70), generator, channels=3
        )
    return grid


def deform(
    anatomy: Anatomy,
    center: Tensor,
    roi_size: Sequence[int],
    spacing: Sequence[float],
    generator: Generator,
    deformation: Deformation | None = None,
) -> Anatomy:
    """Cuts a deformed piece from an anatomy.

    Args:
        anatomy: The whole.
        center: Center of the piece, in voxels of the whole.
        roi_size: Voxels of the piece.
        spacing: mm of the piece.
        generator: Source of all randomness.
        deformation: As for `draw_grid`.

    Returns:
        The piece; air beyond the whole.
    """
    grid = draw_grid(roi_size, spacing, generator, deformation)
    voxels = nearest(grid, center, anatomy.spacing, anatomy.tissue.shape)
    tissue, depth = (look_up(volume, voxels) for volume in (anatomy.tissue, anatomy.depth))
    return Anatomy(tissue, depth, (float(spacing[0]), float(spacing[1]), float(spacing[2])))


class Voxels(NamedTuple):
    """The nearest voxels of a volume to the points of a grid.

    Attributes:
        flat: (X, Y, Z) int64, index into the flat volume.
        inside: (X, Y, Z) bool, whether the volume reaches there.
    """

    flat: Tensor
    inside: Tensor


def nearest(grid: Tensor, center: Tensor, spacing: Sequence[float], shape: Sequence[int]) -> Voxels:
    """The voxel of a volume nearest to each point of a grid.

    Args:
        grid: (3, X, Y, Z), mm from the center, as `draw_grid` gives it.
        center: Where the grid is centered, in voxels of the volume.
        spacing: mm of the volume.
        shape: Voxels of the volume.
    """
    flat = torch.zeros(grid.shape[1:], dtype=torch.int64)
    inside = torch.ones(grid.shape[1:], dtype=torch.bool)
    for axis, n in enumerate(shape):
        index = (grid[axis] / spacing[axis] + center[axis]).round_().long()
        inside &= (index >= 0) & (index < n)
        flat.mul_(n).add_(index.clamp_(0, n - 1))
    return Voxels(flat, inside)


def look_up(volume: Tensor, voxels: Voxels) -> Tensor:
    """The values of a contiguous volume (X, Y, Z), and 0, which is air, beyond it."""
    return volume.reshape(-1)[voxels.flat].mul_(voxels.inside)


def _mild(generator: Generator) -> Tensor:
    """Turns and scales every patch a little, and mirrors a third of them left to right."""
    angles = 0.12 * torch.randn(3, generator=generator)
    scale = uniform(generator, 0.85, 1.2) * torch.exp(0.05 * torch.randn(3, generator=generator))
    matrix = _turned(torch.diag(1 / scale), angles.tolist())
    if chance(generator, 0.3):  # mirrored patients: kidneys look alike on both sides
        matrix = matrix @ torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    return matrix


def _as_nnunet(generator: Generator) -> Tensor:
    """Turns a fifth of the patches and scales a fifth, by more, and mirrors along each axis."""
    matrix = torch.eye(3)
    if chance(generator, 0.2):
        matrix = matrix / uniform(generator, 0.7, 1.4)
    if chance(generator, 0.2):
        most = math.radians(30)
        matrix = _turned(matrix, [uniform(generator, -most, most) for _ in range(3)])
    signs = [-1.0 if chance(generator, 0.5) else 1.0 for _ in range(3)]
    return matrix @ torch.diag(torch.tensor(signs))


def _turned(matrix: Tensor, angles: Sequence[float]) -> Tensor:
    """A matrix (3, 3) turned about each axis by an angle in radians."""
    for axis, angle in enumerate(angles):
        a, b = [i for i in range(3) if i != axis]
        turn = torch.eye(3)
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    return matrix


EVERY_PATCH = Deformation(_mild, elastic_mm=5.0)
"""Deforms every patch a little, so that few anatomies make many."""


def nnunet_deformation() -> Deformation:
    """The rotation, scaling and mirroring of nnU-Net (Isensee et al. 2021), for many real CTs.

    Angles are in mm space, so that thick slices are turned as the body would be.
    """
    return Deformation(_as_nnunet, elastic_mm=0.0)
