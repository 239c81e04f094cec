"""A real CT with its label, from which training patches are cut as deformed pieces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from renalseg.components import Box
from renalseg.labels import KIDNEY
from renalseg.synthesis.appearance import AIR_HU
from renalseg.synthesis.deformation import Deformation, draw_grid, look_up, nearest
from renalseg.synthesis.patient import CENTERS, Landmarks, Piece
from renalseg.training.prepared import CYST, FACTS, IMAGE, LABEL


class RealPatient:
    """A prepared case. Voxels are read from disk when a piece needs them.

    Args:
        folder: As `renalseg.training.prepared.prepare` makes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with np.load(folder / FACTS) as facts:
            x, y, z = (float(mm) for mm in facts["spacing"])
            self.spacing = (x, y, z)
            self.landmarks: Landmarks = {
                tissue: torch.from_numpy(facts[tissue.name])
                for tissue in CENTERS
                if tissue.name in facts
            }
            self.kidneys: Sequence[Box] = [
                (slice(*x), slice(*y), slice(*z)) for x, y, z in facts["kidneys"].tolist()
            ]
            self.tumors_ml: Sequence[float] = facts["tumors_ml"].tolist()

    @property
    def body(self) -> Box:
        """The box of the body: all that `prepare` kept."""
        x, y, z = (slice(0, n) for n in np.load(self.folder / IMAGE, mmap_mode="r").shape)
        return (x, y, z)

    def pieces(
        self,
        centers: Sequence[Tensor],
        roi_size: Sequence[int],
        spacings: Sequence[Sequence[float]],
        generator: Generator,
        phases: Sequence[float],
        deformation: Deformation | None = None,
    ) -> list[Piece]:
        """Deformed pieces of the scan; see `renalseg.synthesis.patient.Patient`."""
        return [
            self._piece(draw_grid(roi_size, spacing, generator, deformation), center, spacing)
            for center, spacing in zip(centers, spacings, strict=True)
        ]

    def _piece(self, grid: Tensor, center: Tensor, spacing: Sequence[float]) -> Piece:
        x, y, z = (float(mm) for mm in spacing)
        image = np.load(self.folder / IMAGE, mmap_mode="r")
        label = np.load(self.folder / LABEL, mmap_mode="r")
        box = self._box(grid, center, spacing, image.shape)
        if any(part.start >= part.stop for part in box):
            air = torch.full(grid.shape[1:], AIR_HU)
            return Piece(air, torch.zeros(grid.shape[1:], dtype=torch.uint8), (x, y, z))
        center = center - torch.tensor([part.start for part in box])
        hu = interpolate(torch.from_numpy(image[box].copy()), self.spacing, grid, center, spacing)
        values = torch.from_numpy(label[box].copy())
        values[values == CYST] = KIDNEY
        voxels = nearest(grid, center, self.spacing, values.shape)
        return Piece(hu, look_up(values, voxels), (x, y, z))

    def _box(
        self, grid: Tensor, center: Tensor, spacing: Sequence[float], shape: Sequence[int]
    ) -> Box:
        """The voxels that the interpolation of a grid reads."""
        parts = []
        for axis, (own, mm, n) in enumerate(zip(self.spacing, spacing, shape, strict=True)):
            room = 2 + mm / own
            low = grid[axis].min().item() / own + center[axis].item() - room
            high = grid[axis].max().item() / own + center[axis].item() + room
            parts.append(slice(max(0, math.floor(low)), min(n, math.ceil(high) + 1)))
        x, y, z = parts
        return (x, y, z)


def interpolate(
    image: Tensor,
    own: Sequence[float],
    grid: Tensor,
    center: Tensor,
    spacing: Sequence[float],
) -> Tensor:
    """HU at the points of a grid; air beyond the volume.

    Where the grid is coarser than the volume, neighbors are first weighted by a triangle as wide as
    its step, as the networks' preprocessing does (`renalseg.grids.resample`), so that noise does
    not alias. The weights apply to averages over half a step, which are few.

    Args:
        image: (X, Y, Z), HU.
        own: mm of the volume.
        grid: (3, x, y, z), mm from the center.
        center: Of the grid, in voxels of the volume.
        spacing: mm of the grid.

    Returns:
        (x, y, z) float32.
    """
    width = [max(1, round(s / (2 * o))) for o, s in zip(own, spacing, strict=True)]
    for axis in range(3):
        image = _average(image, axis, width[axis])
    # relative to air, so that the 0 with which the interpolation pads is air
    values = image.float() - AIR_HU
    for axis in range(3):
        values = _weigh(values, axis, spacing[axis] / (own[axis] * width[axis]))
    points = []
    for axis in (2, 1, 0):  # grid_sample has the fastest axis first
        index = grid[axis] / own[axis] + center[axis]
        points.append((2 * index + 1) / (width[axis] * values.shape[axis]) - 1)
    sampled = functional.grid_sample(
        values[None, None], torch.stack(points, dim=-1)[None], align_corners=False
    )
    return sampled[0, 0] + AIR_HU


def _average(volume: Tensor, axis: int, width: int) -> Tensor:
    """Means of `width` voxels along an axis; the last may cover fewer."""
    if width == 1:
        return volume
    # sums of slices are many times faster on a CPU than torch's pooling
    size = volume.shape[axis]
    slices = [volume[(*[slice(None)] * axis, slice(k, size, width))] for k in range(width)]
    total = slices[0].to(torch.float32, copy=True)
    for part in slices[1:]:
        total.narrow(axis, 0, part.shape[axis]).add_(part)
    total.div_(width)
    if rest := size % width:
        total.select(axis, -1).mul_(width / rest)
    return total


def _weigh(volume: Tensor, axis: int, reach: float) -> Tensor:
    """Weights neighbors along an axis by a triangle that ends `reach` away; 0 beyond the volume."""
    last = min(math.ceil(reach), volume.shape[axis]) - 1
    if last < 1:
        return volume
    taps = [1 - k / reach for k in range(last + 1)]
    total = taps[0] + 2 * sum(taps[1:])
    result = volume * (taps[0] / total)
    for k, tap in enumerate(taps[1:], 1):
        count = volume.shape[axis] - k
        for to, of in ((0, k), (k, 0)):
            result.narrow(axis, to, count).add_(volume.narrow(axis, of, count), alpha=tap / total)
    return result
