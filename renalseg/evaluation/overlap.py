"""Overlap of a prediction with a label, as KiTS19 and KiTS23 count it.

Scores of empty regions, which only this module decides:

| label | prediction | KiTS19 Dice | KiTS23 Dice and surface Dice |
|---|---|---|---|
| empty | empty | NaN, left out of means | 1 |
| empty | something | 0 | 0 |
| something | empty | 0 | 0 |

KiTS19 follows starter_code/evaluation.py of github.com/neheller/kits19, where 0 / 0 gives NaN;
KiTS23 follows kits23/evaluation/metrics.py of github.com/neheller/kits23.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from torch import Tensor

from renalseg.errors import InputError
from renalseg.evaluation.surface import surface_dice
from renalseg.labels import CYST, KIDNEY, TUMOR

Labels = npt.NDArray[np.uint8]


class Region(NamedTuple):
    """A part of a label map that is scored as one mask.

    Attributes:
        name: For tables and files.
        values: Label values that belong to it.
        tolerance_mm: Distance up to which surfaces count as equal in the surface Dice.
    """

    name: str
    values: tuple[int, ...]
    tolerance_mm: float


# The hierarchical evaluation classes of KiTS21 and KiTS23. The tolerances are the variability
# between raters, as kits23/configuration/labels.py of github.com/neheller/kits23 states them.
KIDNEY_AND_MASSES = Region("kidney_and_masses", (KIDNEY, TUMOR, CYST), 1.0330772532390826)
MASSES = Region("masses", (TUMOR, CYST), 1.1328796488598762)
TUMORS = Region("tumor", (TUMOR,), 1.1498198361434828)
KITS23 = (KIDNEY_AND_MASSES, MASSES, TUMORS)


def dice(pred: Tensor, label: Tensor) -> float:
    """Dice of two masks of one shape; NaN where both are empty."""
    pred, label = pred > 0, label > 0
    total = int(pred.sum()) + int(label.sum())
    return 2 * int((pred & label).sum()) / total if total else float("nan")


def check_grids(a: MetaTensor, b: MetaTensor, names: str) -> None:
    """Refuses two volumes (1, X, Y, Z) on different grids.

    Args:
        a: One.
        b: The other.
        names: Their names, for the message.

    Raises:
        InputError: Shape or affine differ.
    """
    if a.shape != b.shape or not np.allclose(a.affine, b.affine, atol=1e-2):
        raise InputError(
            f"Expected {names} on one grid, found shapes {tuple(a.shape[1:])} and "
            f"{tuple(b.shape[1:])} with affines {a.affine.tolist()} and {b.affine.tolist()}"
        )


def kits19_dice(pred: MetaTensor, label: MetaTensor) -> dict[str, float]:
    """Dice of kidney (with its masses) and of tumor.

    The official code counts every value above 1 as tumor; here only `TUMOR` counts. Both are the
    same for the labels of KiTS19, which have no cysts.

    Args:
        pred: (1, X, Y, Z): 0 background, 1 kidney, 2 tumor, 3 cyst.
        label: The same on the same grid.

    Raises:
        InputError: The grids differ.
    """
    check_grids(pred, label, "prediction and label")
    a, b = pred.as_tensor(), label.as_tensor()
    return {
        "kidney": dice(a, b),
        "tumor": dice(a.eq(TUMOR).to(torch.uint8), b.eq(TUMOR).to(torch.uint8)),
    }


def kits23_scores(
    pred: Labels, label: Labels, region: Region, spacing: npt.ArrayLike
) -> tuple[float, float]:
    """Dice and surface Dice of one region.

    Args:
        pred: (X, Y, Z): 0 background, 1 kidney, 2 tumor, 3 cyst.
        label: The same on the same grid.
        region: What is compared, and the tolerance of its surface.
        spacing: mm along the array axes.
    """
    masks = [np.isin(values, region.values) for values in (pred, label)]
    present = [bool(mask.any()) for mask in masks]
    if not all(present):
        score = 0.0 if any(present) else 1.0
        return score, score
    overlap = dice(torch.from_numpy(masks[0]), torch.from_numpy(masks[1]))
    return overlap, surface_dice(masks[0], masks[1], region.tolerance_mm, spacing)
