"""Grids in the patient, and the resampling of volumes from one grid to another.

All grids of a case have parallel axes (the source's own), possibly permuted, reversed, and with
another spacing. Resampling is therefore separable: one small matrix product for each axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from renalseg.geometry import Array, spacing_of, to_index, to_world

_PARALLEL = 1e-3  # largest off-axis part of a step, in voxels, that still counts as parallel


class Grid(NamedTuple):
    """Where the voxels of a volume lie.

    Attributes:
        shape: (X, Y, Z).
        affine: (4, 4) float64, from voxel centers to RAS mm.
    """

    shape: tuple[int, int, int]
    affine: Array

    @staticmethod
    def of(volume: MetaTensor) -> Grid:
        """The grid of a MetaTensor (C, X, Y, Z)."""
        x, y, z = volume.shape[1:]
        return Grid((x, y, z), np.asarray(volume.affine, dtype=np.float64))

    def crop(self, box: Sequence[slice]) -> Grid:
        """The part of the grid within a box of voxels."""
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
        x, y, z = (part.stop - part.start for part in box)
        return Grid((x, y, z), affine)

    def reshaped(self, shape: Sequence[int]) -> Grid:
        """A grid over the same field of view whose axes point R, A, S as nearly as they can.

        Args:
            shape: Voxels along the axes nearest to R, A and S.
        """
        return self.respaced(self.turned().extent / np.asarray(shape))

    def respaced(self, spacing: Sequence[float]) -> Grid:
        """A grid over the same field of view whose axes point R, A, S as nearly as they can.

        Args:
            spacing: mm along the axes nearest to R, A and S.
        """
        turned = self.turned()
        x, y, z = (
            max(1, round(mm / step)) for mm, step in zip(turned.extent, spacing, strict=True)
        )
        affine = turned.affine.copy()
        affine[:3, :3] *= np.asarray(spacing) / turned.spacing
        # both fields of view share their center
        middle_old = (np.array(turned.shape) - 1) / 2
        middle_new = (np.array([x, y, z]) - 1) / 2
        affine[:3, 3] = turned.affine[:3, :3] @ middle_old + turned.affine[:3, 3]
        affine[:3, 3] -= affine[:3, :3] @ middle_new
        return Grid((x, y, z), affine)

    def turned(self) -> Grid:
        """The same voxels with axes that point R, A, S as nearly as they can."""
        orientation = nib.orientations.io_orientation(self.affine)
        affine = self.affine @ nib.orientations.inv_ornt_aff(orientation, self.shape)
        x, y, z = (self.shape[int(axis)] for axis in np.argsort(orientation[:, 0]))
        return Grid((x, y, z), affine)

    @property
    def spacing(self) -> Array:
        """Mm along each array axis."""
        return spacing_of(self.affine)

    @property
    def extent(self) -> Array:
        """Size along each array axis, in mm."""
        return np.asarray(np.array(self.shape) * self.spacing)


class AxisMap(NamedTuple):
    """How each axis of a target grid runs through the source grid: index = step * i + start."""

    axis: int
    step: float
    start: float


def axis_maps(source: Grid, target: Grid) -> list[AxisMap]:
    """The source axis, step and start of each target axis.

    Raises:
        ValueError: The axes of the two grids are not parallel.
    """
    matrix = np.linalg.inv(source.affine) @ target.affine
    maps = []
    for column in range(3):
        axis = int(np.argmax(np.abs(matrix[:3, column])))
        rest = np.delete(matrix[:3, column], axis) * (target.shape[column] - 1)
        if np.abs(rest).max() > max(_PARALLEL * target.shape[column], 0.05):
            raise ValueError(f"Expected grids with parallel axes, got the mapping {matrix[:3, :3]}")
        maps.append(AxisMap(axis, float(matrix[axis, column]), float(matrix[axis, 3])))
    if sorted(m.axis for m in maps) != [0, 1, 2]:
        raise ValueError(f"Expected grids with parallel axes, got the mapping {matrix[:3, :3]}")
    return maps


def covered(box: Sequence[slice], source: Grid, target: Grid) -> tuple[slice, slice, slice] | None:
    """Finds the voxels of another grid whose centers lie in a box of voxels.

    Args:
        box: Part of the source.
        source: A grid.
        target: Another one.

    Returns:
        Part of the target; None if it is empty.
    """
    # to the outer faces, half a voxel beyond the outermost centers
    corners = [(part.start - 0.5, part.stop - 0.5) for part in box]
    world = to_world(source.affine, np.stack(np.meshgrid(*corners, indexing="ij"), axis=-1))
    index = to_index(target.affine, world).reshape(-1, 3)
    low = np.clip(np.ceil(index.min(axis=0) - 1e-6), 0, target.shape).astype(int)
    high = np.clip(np.floor(index.max(axis=0) + 1e-6) + 1, low, target.shape).astype(int)
    if (high <= low).any():
        return None
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (x, y, z)


def resample(volume: Tensor, source: Grid, target: Grid, mode: str = "linear") -> Tensor:
    """Samples a volume at the voxel centers of another grid; beyond the volume its border repeats.

    Linear interpolation widens to the target's spacing where that is coarser, so that fine noise
    does not alias.

    Args:
        volume: (C, *source.shape).
        source: Grid of `volume`.
        target: Grid of the result.
        mode: "linear" (float32 result) or "nearest" (dtype of `volume`).

    Returns:
        (C, *target.shape).
    """
    maps = axis_maps(source, target)
    volume = volume.permute(0, *(1 + m.axis for m in maps))  # axes in the order of the target
    # The axis that is contiguous in memory first: that product needs no copy of the volume.
    for axis in sorted(range(3), key=lambda a: volume.stride(1 + a)):
        size = volume.shape[1 + axis]
        position = maps[axis].start + maps[axis].step * torch.arange(
            target.shape[axis], dtype=torch.float64
        )
        if mode == "nearest":
            index = position.round().long().clamp(0, size - 1)
            volume = volume.index_select(1 + axis, index.to(volume.device))
        else:
            volume = _apply(volume, 1 + axis, _weights(position, size, abs(maps[axis].step)))
    return volume


def _weights(position: Tensor, size: int, step: float) -> Tensor:
    """(targets, size) linear weights, triangles that are `step` voxels wide where step > 1."""
    position = position.clamp(0, size - 1)
    distance = (position[:, None] - torch.arange(size, dtype=torch.float64)).abs()
    weights = (1 - distance / max(1.0, step)).clamp_(min=0)
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def _apply(volume: Tensor, axis: int, weights: Tensor) -> Tensor:
    used = weights.any(dim=0).nonzero()[:, 0]
    first, last = int(used[0]), int(used[-1]) + 1  # a crop reads only the part it needs
    part = volume.narrow(axis, first, last - first).movedim(axis, -1).float()
    return (part @ weights[:, first:last].T.to(part.device)).movedim(-1, axis)
