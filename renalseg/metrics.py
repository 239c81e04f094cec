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


def kits19_dice(pred: MetaTensor, label: MetaTensor) -> dict[str, float]:
    """Dice of kidney (with its tumors) and of tumor.

    Args:
        pred: (1, X, Y, Z): 0 background, 1 kidney, 2 tumor.
        label: The same on the same grid.

    Raises:
        InputError: The grids differ.
    """
    if pred.shape != label.shape or not np.allclose(pred.affine, label.affine, atol=1e-2):
        raise InputError(
            f"Expected prediction and label on one grid, found shapes {tuple(pred.shape[1:])} and "
            f"{tuple(label.shape[1:])} with affines {pred.affine.tolist()} and "
            f"{label.affine.tolist()}"
        )
    a, b = pred.as_tensor(), label.as_tensor()
    return {
        "kidney": dice(a, b),
        "tumor": dice(a.eq(TUMOR).to(torch.uint8), b.eq(TUMOR).to(torch.uint8)),
    }
