"""Training patches: a deformed piece of an anatomy on a network's grid, and its CT."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from renalseg.synthesis.appearance import PHASE_SHARES, draw_ct, draw_phase
from renalseg.synthesis.fields import chance, smooth_field, uniform
from renalseg.synthesis.stream import CaseStream
from renalseg.synthesis.tissues import Anatomy, Tissue, label_of


class SyntheticPatches(CaseStream[dict[str, Any]]):
    """Endless pairs of CT patch and label.

    Args:
        anatomies: What to draw from.
        roi_size: Voxels of a patch along R, A, S.
        spacing: mm along R, A, S of a patch: the grid of the network.
        spacing_to: For a network that works at the scanner's own spacing: each patch draws its
            spacing between `spacing` and this, one share for the slice and one across slices.
        near_kidney: Share of the patches that are centered near a kidney.
        near_tumor: Share of those that are centered near a tumor.
        near_cyst: Share of the rest of them that are centered near a cyst.
        reach_mm: How far from the drawn kidney voxel the center lies at most.
        seed: Start of the random stream; each worker gets its own.
        phases: Shares of the four contrast phases.
        transform: From a patch to what the network trains on.
    """

    def __init__(
        self,
        anatomies: Sequence[Anatomy],
        roi_size: Sequence[int],
        spacing: Sequence[float],
        near_kidney: float = 0.8,
        near_tumor: float = 0.5,
        reach_mm: float = 60.0,
        seed: int = 0,
        spacing_to: Sequence[float] | None = None,
        near_cyst: float = 0.0,
        phases: Sequence[float] = PHASE_SHARES,
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        super().__init__(anatomies, transform, seed)
        self.roi_size = tuple(roi_size)
        self.spacing = tuple(spacing)
        self.spacing_to = tuple(spacing_to) if spacing_to is not None else None
        self.near_kidney = near_kidney
        self.near_tumor = near_tumor
        self.near_cyst = near_cyst
        self.phases = tuple(phases)
        self.reach_mm = reach_mm
        self._landmarks = [_landmarks_of(anatomy) for anatomy in anatomies]

    def draw(self, generator: Generator) -> dict[str, Any]:
        """One patch: `image` (1, *roi_size) float32 HU, `label` (1, *roi_size) uint8, `case`."""
        i = self.draw_anatomy(generator)
        center = self._draw_center(i, generator)
        spacing = self.draw_spacing(generator)
        piece = deform(self.anatomies[i], center, self.roi_size, spacing, generator)
        image = draw_ct(piece, generator, draw_phase(generator, self.phases))
        return {"image": image[None], "label": label_of(piece.tissue)[None], "case": i}

    def draw_spacing(self, generator: Generator) -> tuple[float, ...]:
        """The spacing of a patch, mm along R, A, S."""
        if self.spacing_to is None:
            return self.spacing
        in_slice, across = uniform(generator, 0.0, 1.0), uniform(generator, 0.0, 1.0)
        shares = (in_slice, in_slice, across)
        ends = zip(self.spacing, self.spacing_to, shares, strict=True)
        return tuple(low + (high - low) * share for low, high, share in ends)

    def _draw_center(self, i: int, generator: Generator) -> Tensor:
        """In voxels of anatomy `i`."""
        anatomy, landmarks = self.anatomies[i], self._landmarks[i]
        wanted, reach_mm = Tissue.VISCERAL, 0.0
        if chance(generator, self.near_kidney):
            wanted, reach_mm = Tissue.KIDNEY, self.reach_mm
            if chance(generator, self.near_tumor) and Tissue.TUMOR in landmarks:
                wanted = Tissue.TUMOR
            elif self.near_cyst and chance(generator, self.near_cyst):
                wanted = Tissue.CYST if Tissue.CYST in landmarks else Tissue.KIDNEY
        points = landmarks.get(wanted, landmarks[Tissue.VISCERAL])
        point = points[int(torch.randint(len(points), (), generator=generator))].float()
        offset = (2 * torch.rand(3, generator=generator) - 1) * reach_mm
        return point + offset / torch.tensor(anatomy.spacing)


def _landmarks_of(anatomy: Anatomy, count: int = 2000) -> dict[Tissue, Tensor]:
    """Up to `count` voxels, (n, 3), of each tissue that patches are centered on."""
    found = {}
    for tissue in (Tissue.KIDNEY, Tissue.TUMOR, Tissue.CYST, Tissue.VISCERAL):
        flat = np.flatnonzero(anatomy.tissue.numpy() == tissue)
        if len(flat):
            flat = flat[:: max(1, len(flat) // count)]
            found[tissue] = torch.from_numpy(
                np.stack(np.unravel_index(flat, anatomy.tissue.shape), axis=1)
            )
    return found


def deform(
    anatomy: Anatomy,
    center: Tensor,
    roi_size: Sequence[int],
    spacing: Sequence[float],
    generator: Generator,
) -> Anatomy:
    """A rotated, scaled, sheared and elastically deformed piece of an anatomy.

    Args:
        anatomy: The whole.
        center: Where the piece is centered, in voxels of the whole.
        roi_size: Voxels of the piece.
        spacing: mm of the piece.
        generator: Source of all randomness.

    Returns:
        The piece; air beyond the whole.
    """
    axes = [(torch.arange(n) - (n - 1) / 2) * mm for n, mm in zip(roi_size, spacing, strict=True)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))  # (3, X, Y, Z), mm from the center
    matrix = _draw_affine(generator)
    grid = torch.einsum("ab,bxyz->axyz", matrix, grid)
    amplitude = uniform(generator, 0.0, 5.0)
    grid += amplitude * smooth_field(
        roi_size, spacing, uniform(generator, 25, 70), generator, channels=3
    )
    index = [
        (grid[axis] / anatomy.spacing[axis] + center[axis]).round_().long() for axis in range(3)
    ]
    tissue = _look_up(anatomy.tissue, index, int(Tissue.AIR))
    depth = _look_up(anatomy.depth, index, 0)
    return Anatomy(tissue, depth, (float(spacing[0]), float(spacing[1]), float(spacing[2])))


def _draw_affine(generator: Generator) -> Tensor:
    angles = 0.12 * torch.randn(3, generator=generator)
    scale = uniform(generator, 0.85, 1.2) * torch.exp(0.05 * torch.randn(3, generator=generator))
    matrix = torch.diag(1 / scale)
    for axis, angle in enumerate(angles.tolist()):
        a, b = [i for i in range(3) if i != axis]
        turn = torch.eye(3)
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    if chance(generator, 0.3):  # mirrored patients: kidneys look alike on both sides
        matrix = matrix @ torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    return matrix


def _look_up(volume: Tensor, index: Sequence[Tensor], outside: int) -> Tensor:
    inside = torch.ones_like(index[0], dtype=torch.bool)
    flat = torch.zeros_like(index[0])
    for axis, i in enumerate(index):
        inside &= (i >= 0) & (i < volume.shape[axis])
        flat = flat * volume.shape[axis] + i.clamp(0, volume.shape[axis] - 1)
    values = volume.reshape(-1)[flat]
    values[~inside] = outside
    return values
