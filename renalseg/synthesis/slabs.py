"""Slabs for a network of both kidneys: label maps and real slices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import yaml
from scipy import ndimage
from torch import Tensor

from renalseg.errors import ConfigError, InputError
from renalseg.labels import CYST, TUMOR

TRAINING, VALIDATION = "training", "validation"
_LEAST_ML = 0.25  # minimum volume of a lesion that is drawn on purpose
_LEAST_PIXELS = 24  # of it in a slice


class LesionSpan(NamedTuple):
    """One lesion of a label map.

    Attributes:
        kind: `TUMOR` or `CYST`.
        volume_ml: Its volume.
        first: Its first slice with more than a few pixels of it.
        last: The last.
    """

    kind: int
    volume_ml: float
    first: int
    last: int


class Slab:
    """Slices with a label, and with an image where they are real.

    Args:
        patient: Such as "kits 25"; a patient is in one fold only.
        label: (X, Y, Z) uint8: 1 kidney, 2 tumor, 3 cyst; axes R, A, S.
        spacing: mm along x, y, z.
        image: (X, Y, Z) HU, of any dtype; None for a label map without an image.
        window: HU range to which the image was already clipped.
        found: (X, Y, Z) uint8, the mask that a localizer gave for this image, if it is known.
    """

    def __init__(
        self,
        patient: str,
        label: Tensor,
        spacing: Sequence[float],
        image: Tensor | None = None,
        window: tuple[float, float] | None = None,
        found: Tensor | None = None,
    ) -> None:
        self.patient = patient
        self.label = label
        self.spacing = tuple(float(mm) for mm in spacing)
        self.image = image
        self.window = window
        self.found = found

    @cached_property
    def depth(self) -> Tensor:
        """Quarters of a mm below the surface of all that is labeled, (X, Y, Z) uint8."""
        return self._depth_of(self.label > 0)

    @cached_property
    def tumor_depth(self) -> Tensor:
        """The same for tumors."""
        return self._depth_of(self.label == TUMOR)

    @cached_property
    def lesions(self) -> list[LesionSpan]:
        """Its tumors and cysts, without specks."""
        found = []
        for kind in (TUMOR, CYST):
            numbered, _ = ndimage.label((self.label == kind).numpy())
            for number, box in enumerate(ndimage.find_objects(numbered), start=1):
                areas = (numbered[box] == number).sum(axis=(0, 1))
                ml = float(areas.sum() * np.prod(self.spacing) / 1000)
                slices = np.flatnonzero(areas >= _LEAST_PIXELS) + box[2].start
                if ml >= _LEAST_ML and len(slices):
                    found.append(LesionSpan(kind, ml, int(slices[0]), int(slices[-1])))
        return found

    def _depth_of(self, mask: Tensor) -> Tensor:
        mm = ndimage.distance_transform_edt(mask.numpy(), sampling=self.spacing)
        return torch.from_numpy(np.clip(4 * mm, 0, 255).astype(np.uint8))


def load_slabs(folder: str | Path, folds: str | Path, fold: int, split: str) -> list[Slab]:
    """The slabs of a folder for training or for validation.

    Args:
        folder: With files `*.npz`, each with `patient`, `label` and `spacing`, and if they are
            real `image` and, if they are known, `window` and `found`, as `Slab` takes them.
        folds: YAML with lists of patients under `folds`, and under `never` those of the test.
        fold: Whose patients validate.
        split: "training" or "validation".

    Raises:
        ConfigError: There is no such split or fold.
        InputError: The folder holds none.
    """
    listed = yaml.safe_load(Path(folds).read_text())
    if split not in (TRAINING, VALIDATION) or not 0 <= fold < len(listed["folds"]):
        raise ConfigError(
            f"Expected a split of {TRAINING}, {VALIDATION} and a fold below "
            f"{len(listed['folds'])}, got {split!r} and {fold}"
        )
    held_out, never = set(listed["folds"][fold]), set(listed["never"])
    slabs = [_load(path) for path in sorted(Path(folder).glob("*.npz"))]
    chosen = [
        slab
        for slab in slabs
        if slab.patient not in never and (slab.patient in held_out) == (split == VALIDATION)
    ]
    if not chosen:
        raise InputError(f"Expected slabs (*.npz) for {split} in {folder}, found none")
    return chosen


def _load(path: Path) -> Slab:
    with np.load(path) as stored:
        image, found = (
            _slice_by_slice(stored[key]) if key in stored else None for key in ("image", "found")
        )
        window = tuple(stored["window"].tolist()) if "window" in stored else None
        label, spacing = _slice_by_slice(stored["label"]), stored["spacing"].tolist()
        return Slab(str(stored["patient"]), label, spacing, image, window, found)


def _slice_by_slice(volume: npt.NDArray[Any]) -> Tensor:
    """A volume (X, Y, Z) whose slices are contiguous, since few of many are read at a time."""
    return torch.from_numpy(np.ascontiguousarray(volume.transpose(2, 0, 1))).permute(1, 2, 0)
