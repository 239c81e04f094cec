"""Slabs of KiTS cases, from which `tumor_unet` trains: CTs, and label maps to draw and implant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor

from renalseg.components import Box, bounding_box, grow_box
from renalseg.data.case_lists import Fold
from renalseg.errors import InputError
from renalseg.grids import Grid, resample
from renalseg.synthesis.slabs import Slab
from renalseg.training.prepared import FACTS, IMAGE, LABEL, prepare_all
from renalseg.training.sources import cache_for, real_cases

_AROUND_MM = (60.0, 60.0, 10.0)  # of the kidneys: what a stack may show beside them
_LABEL_MM = 10.0


def load_kits_slabs(
    source: str | Path | Sequence[str | Path],
    split: str,
    spacing: Sequence[float],
    fold: Fold | None = None,
) -> list[Slab]:
    """Two slabs of each case: its CT, and its label map on the grid of the network.

    Args:
        source: Folders with the layout of KiTS, or data lists.
        split: "training" or "validation".
        spacing: mm along R, A, S of the label maps.
        fold: Says which cases train, and which validate.

    Raises:
        InputError: There is no case for the split, or one without a kidney.
    """
    cases = real_cases(source, split, fold)
    slabs = []
    for root in dict.fromkeys(root for root, _ in cases):
        own = [case for one, case in cases if one == root]
        folder = root.parent if root.suffix == ".json" else root
        for case, prepared in zip(own, prepare_all(own, cache_for(folder)), strict=True):
            slabs += _slabs(case.name, prepared, spacing)
    return slabs


def _slabs(name: str, folder: Path, spacing: Sequence[float]) -> list[Slab]:
    with np.load(folder / FACTS) as facts:
        own = facts["spacing"]
    # copy on write: torch warns of memory that cannot be written
    image, label = (np.load(folder / part, mmap_mode="c") for part in (IMAGE, LABEL))
    kidneys = bounding_box(label)
    if kidneys is None:
        raise InputError(f"Expected a kidney in the label of {name}, found none")
    near = grow_box(kidneys, np.array(_AROUND_MM) / own, label.shape)
    real = Slab(name, torch.from_numpy(label[near]), own.tolist(), torch.from_numpy(image[near]))
    close = grow_box(kidneys, _LABEL_MM / own, label.shape)
    return [real, Slab(name, _respaced(label, close, own, spacing), spacing)]


def _respaced(
    label: np.ndarray, box: Box, own: np.ndarray, spacing: Sequence[float]
) -> torch.Tensor:
    """The part of a label map in a box, on a grid of another spacing."""
    part = torch.from_numpy(np.ascontiguousarray(label[box]))[None]
    affine = torch.diag(torch.tensor([*own.tolist(), 1.0], dtype=torch.float64))
    grid = Grid.of(MetaTensor(part, affine=affine))
    return resample(part, grid, grid.respaced(tuple(spacing)), "nearest")[0]
