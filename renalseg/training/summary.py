"""A picture of a training: curves, and the worst and best patches.

Made at the end of each training, and at any time by

    python -m renalseg.training.summary OUTPUT_DIR
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from renalseg.errors import plural
from renalseg.training.history import Row, best_of, read_history
from renalseg.training.validation import SHOWN

FILE = "summary.png"
_COLORS = {"label": "#2dd4bf", "prediction": "#f97316"}
_STYLES = ("-", "--")  # of the outlines of the first structure, and of what lies within it


def save_summary(output_dir: str | Path) -> Path:
    """Draws summary.png of a training.

    Top: loss, validation Dice and learning rate over the epochs. Below: slices of the patches with
    the lowest and the highest Dice, segmented with the best weights. The patient's right is on the
    left of a slice, as radiologists see it.

    Args:
        output_dir: Of the training.

    Returns:
        The picture.

    Raises:
        InputError: The folder has no history of a training.
    """
    output_dir = Path(output_dir)
    rows = read_history(output_dir)
    shown = output_dir / SHOWN
    figure = Figure(figsize=(13, 6 if shown.exists() else 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    halves = figure.subfigures(2 if shown.exists() else 1, squeeze=False).flat
    _draw_curves(halves[0].subplots(1, 3, sharex=True), rows)
    if shown.exists():
        _draw_patches(halves[1], shown)
    figure.suptitle(f"{output_dir.name}: {plural(len(rows), 'epoch')}")
    path = output_dir / FILE
    figure.savefig(path, dpi=110)
    return path


def _draw_curves(panels: np.ndarray, rows: list[Row]) -> None:
    loss, dice, rate = panels
    _draw_curve(loss, rows, "loss")
    loss.set_title("training loss")
    for name in dict.fromkeys(name for row in rows for name in row if name.startswith("dice_")):
        _draw_curve(dice, rows, name, label=name.removeprefix("dice_"))
    for name in dict.fromkeys(name for row in rows for name in row if name.startswith("cts_")):
        text = name.removeprefix("cts_").replace("_dice", "").replace("_", " ")
        _draw_curve(dice, rows, name, label=f"{text}, whole CTs", style="--")
    dice.set_title("Dice in validation")
    dice.set_ylim(0, 1)
    best = best_of(rows)
    if best is not None:
        dice.axvline(best["epoch"], color="gray", lw=0.8, label=f"best: epoch {best['epoch']:.0f}")
        dice.legend(loc="lower right")
    else:
        dice.text(0.5, 0.5, "no validation", ha="center", transform=dice.transAxes)
    _draw_curve(rate, rows, "learning_rate")
    rate.set_title("learning rate")
    for axes in panels:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)


def _draw_curve(
    axes: Axes, rows: list[Row], name: str, label: str | None = None, style: str = "-"
) -> None:
    known = [row for row in rows if name in row]
    marker = "." if len(known) < 20 else None
    axes.plot(
        [r["epoch"] for r in known], [r[name] for r in known], label=label, marker=marker, ls=style
    )


def _draw_patches(figure: FigureBase, path: Path) -> None:
    with np.load(path) as stored:
        names = [str(name) for name in stored["structures"]]
        panels = np.atleast_1d(figure.subplots(1, len(stored["dice"])))
        parts = (stored[key] for key in ("image", "label", "pred", "dice"))
        for axes, image, label, pred, dice in zip(panels, *parts, strict=True):
            low, high = np.percentile(image, (0.5, 99.5))
            axes.imshow(image.T, cmap="gray", vmin=low, vmax=high, origin="lower")
            for masks, color in ((label, _COLORS["label"]), (pred, _COLORS["prediction"])):
                for mask, style in zip(masks, _STYLES, strict=False):
                    _outline(axes, mask, color, style)
            axes.set_xlim(image.shape[0], -1)  # axis 0 runs to the patient's right
            axes.set_ylim(-1, image.shape[1])
            axes.set_title(f"Dice {dice:.2f}")
            axes.set_axis_off()
    keys = [Line2D([], [], color=color, label=what) for what, color in _COLORS.items()]
    if len(names) > 1:
        keys += [
            Line2D([], [], color="gray", ls=style, label=name)
            for name, style in zip(names, _STYLES, strict=False)
        ]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))


def _outline(axes: Axes, mask: np.ndarray, color: str, style: str) -> None:
    if mask.any():
        around = np.pad(mask, 1)  # so that what reaches the border is outlined there, too
        x, y = (np.arange(-1, n + 1) for n in mask.shape)
        axes.contour(x, y, around.T, [0.5], colors=[color], linestyles=[style], linewidths=1.2)


if __name__ == "__main__":
    sys.stdout.write(f"{save_summary(sys.argv[1])}\n")
