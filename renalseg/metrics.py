"""Overlap of a prediction with a label, as KiTS19 counts it."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from renalseg.errors import InputError
from renalseg.labels import TUMOR


def dice(pred: Tensor, label: Tensor) -> float:
    """Dice of two masks of one shape; NaN where both are empty."""
    pred, label = pred > 0, label > 0
    total = int(pred.sum()) + int(label.sum())
    return 2 * int((pred & label).sum()) / total if total else float("nan")


def check_grids(a: MetaTensor, b: MetaTensor, names: str) -> None:
    """Refuses two volumes (1, X, Y, Z) that are not on one grid.

    Args:
        a: One.
        b: The other.
        names: What they are, for the message.

    Raises:
        InputError: Shape or affine differ.
    """
    if a.shape != b.shape or not np.allclose(a.affine, b.affine, atol=1e-2):
        raise InputError(
            f"Expected {names} on one grid, found shapes {tuple(a.shape[1:])} and "
            f"{tuple(b.shape[1:])} with affines {a.affine.tolist()} and {b.affine.tolist()}"
        )


def kits19_dice(pred: MetaTensor, label: MetaTensor) -> dict[str, float]:
    """Dice of kidney (with its tumors) and of tumor.

    Args:
        pred: (1, X, Y, Z): 0 background, 1 kidney, 2 tumor.
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
