"""The cases with the lowest scores, and pictures of what went wrong in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from monai.data import MetaTensor

from renalseg.components import Mask
from renalseg.evaluation.case_score import CaseScore
from renalseg.labels import TUMOR
from renalseg.report.view import AXIAL, CORONAL, SAGITTAL, Cut, Plane, View, look, outline
from renalseg.runtime.staging import complete_file

MOST = 3
_BASE = 4  # both label maps in one: prediction + 4 x label
_COLORS = {"kidney": ("#38a169", "#63b3ed"), "tumor": ("#ecc94b", "#fc8181")}  # label, prediction
_STYLES: tuple[Literal["solid", "dashed"], ...] = ("solid", "dashed")
_GRAY_HU = (-1000.0, -60.0, 40.0, 0.0)  # of the values of a label, where there is no CT


def worst_cases(scores: Sequence[CaseScore], most: int = MOST) -> list[CaseScore]:
    """Returns the cases with the lowest mean of kidney and tumor Dice (KiTS19), the lowest first.

    Args:
        scores: The cases. A Dice that is not defined is left out of the mean.
        most: How many at most.
    """
    ranked = [(_mean(score), score.case, score) for score in scores]
    known = sorted(entry for entry in ranked if not math.isnan(entry[0]))
    return [score for _, _, score in known[:most]]


def save_case(
    score: CaseScore, pred: MetaTensor, label: MetaTensor, ct: MetaTensor | None, path: Path
) -> None:
    """Saves a picture of a case: three planes through the largest error.

    Args:
        score: What stands above it.
        pred: (1, X, Y, Z) uint8.
        label: The same on the same grid.
        ct: HU on the same grid; None shows the label in gray.
        path: PNG; its folder is made.
    """
    with complete_file(path) as file:
        draw_case(score, pred, label, ct).savefig(file, dpi=100, format="png", facecolor="black")


def draw_case(
    score: CaseScore, pred: MetaTensor, label: MetaTensor, ct: MetaTensor | None
) -> Figure:
    """Draws the picture that `save_case` saves."""
    codes = (pred.as_tensor() + _BASE * label.as_tensor())[0].numpy().astype(np.uint8)
    view = look(_gray(label) if ct is None else ct, codes)
    planes = (AXIAL, CORONAL, SAGITTAL)
    sizes = [view.size(plane) for plane in planes]
    height = 5.0
    width = sum(height * across / up for across, up in sizes)
    figure = Figure(figsize=(max(width, 7.0), height + 0.7), facecolor="black")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        1, 3, width_ratios=[across / up for across, up in sizes],
        left=0.005, right=0.995, bottom=0.01, top=0.88, wspace=0.02,
    )  # fmt: skip
    for place, plane in enumerate(planes):
        axes = figure.add_subplot(grid[0, place])
        _draw(view, Cut(plane, _largest_error(view, plane), ()), axes)
    figure.suptitle(_title(score), color="white", fontsize=10, y=0.99)
    figure.legend(
        handles=[
            Line2D([], [], color=color, linestyle=style, label=f"{structure}, {source}")
            for structure, colors in _COLORS.items()
            for color, style, source in zip(colors, _STYLES, ("label", "prediction"), strict=True)
        ],
        loc="upper center", ncols=4, frameon=False, labelcolor="white", fontsize=8,
        bbox_to_anchor=(0.5, 0.955),
    )  # fmt: skip
    return figure


def _mean(score: CaseScore) -> float:
    values = [score.kits19[name] for name in ("kidney", "tumor")]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _title(score: CaseScore) -> str:
    parts = [f"{name} Dice {score.kits19[name]:.2f}" for name in ("kidney", "tumor")]
    lesions, false = score.tumors.lesions, score.tumors.false_positives_ml
    found = sum(lesion.found for lesion in lesions)
    known = [part for part in parts if not part.endswith("nan")]
    said = [*known, f"{found} of {len(lesions)} tumors found", f"{len(false)} false"]
    return f"{score.case}: {', '.join(said)}"


def _gray(label: MetaTensor) -> MetaTensor:
    values = torch.tensor(_GRAY_HU)[label.as_tensor().long()]
    return MetaTensor(values, affine=label.affine)


def _largest_error(view: View, plane: Plane) -> int:
    """The index of the plane with the most wrong voxels, of tumors if any of them is wrong."""
    preds, labels = view.numbers % _BASE, view.numbers // _BASE
    tumors = (preds == TUMOR) != (labels == TUMOR)
    kidneys = (preds > 0) != (labels > 0)
    wrong = next((each for each in (tumors, kidneys) if each.any()), labels > 0)
    across = tuple(axis for axis in range(3) if axis != plane.cut)
    return int(wrong.sum(axis=across).argmax())


def _draw(view: View, cut: Cut, axes: Axes) -> None:
    view.draw(axes, cut, ())
    plane = cut.plane
    codes = np.take(view.numbers, cut.at, axis=plane.cut)
    spacing = view.spacing[[plane.across, plane.up]]
    values = (codes // _BASE, codes % _BASE)
    for structure, colors in _COLORS.items():
        for part, color, style in zip(values, colors, _STYLES, strict=True):
            mask: Mask = part == TUMOR if structure == "tumor" else part > 0
            outline(axes, mask, color, spacing, style)
