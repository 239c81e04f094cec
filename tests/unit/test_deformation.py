from __future__ import annotations

import torch
from torch import Generator

from renalseg.synthesis.deformation import draw_grid, nnunet_deformation

SIZE, SPACING = (8, 8, 4), (1.0, 1.0, 3.0)
CORNERS = [(0, 0, 0), (7, 0, 0), (0, 7, 0), (0, 0, 3)]


def edges(seed: int) -> torch.Tensor:
    """The edges of a drawn grid, (3, 3): x, y, z of each, in steps of the undeformed grid."""
    grid = draw_grid(SIZE, SPACING, Generator().manual_seed(seed), nnunet_deformation())
    first, *others = [grid[(slice(None), *corner)] for corner in CORNERS]
    lengths = torch.tensor([7.0, 7.0, 9.0])[:, None]
    return torch.stack([other - first for other in others]) / lengths


def test_a_fifth_is_turned_a_fifth_scaled_and_half_mirrored_along_each_axis() -> None:
    drawn = [edges(seed) for seed in range(600)]
    scales = torch.stack([matrix.norm(dim=1).mean() for matrix in drawn])
    scaled = (scales - 1).abs() > 1e-4
    assert 0.15 < scaled.float().mean() < 0.25
    assert 1 / 1.4 - 1e-4 <= scales.min() < 0.75
    assert 1.3 < scales.max() <= 1 / 0.7 + 1e-4
    turns = torch.stack([m / s for m, s in zip(drawn, scales, strict=True)])
    aligned = turns.diagonal(dim1=1, dim2=2).abs() > 1 - 1e-4
    assert 0.15 < (~aligned.all(dim=1)).float().mean() < 0.25
    signs = turns.diagonal(dim1=1, dim2=2)[aligned.all(dim=1)].sign()
    assert ((signs < 0).float().mean(dim=0) - 0.5).abs().max() < 0.08


def test_angles_end_at_30_degrees_about_each_axis() -> None:
    turned = [matrix / matrix.norm(dim=1, keepdim=True) for matrix in map(edges, range(600))]
    smallest = min(matrix.diagonal().abs().min() for matrix in turned)
    # about all three axes at once: cos(30)^2 - sin(30)^3
    assert 0.625 - 1e-3 < smallest < 0.85
