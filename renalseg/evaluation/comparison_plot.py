"""Two methods as a picture: the Dice of each case by the one and by the other."""

from __future__ import annotations

import io
import math

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from renalseg.evaluation.compare import Comparison

_MOST_NAMES = 5  # of cases that differ most, written next to their points
_CLEAR = 0.1  # of Dice; closer cases get no name
_BLUE, _GRAY = "#2b6cb0", "#666666"


def draw_comparison(comparison: Comparison) -> Figure:
    """Two panels, kidney and tumor Dice: a point for each case, above the line if it gained."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, structure in zip(figure.subplots(1, 2), ("kidney", "tumor"), strict=True):
        _draw(axes, comparison, structure)
    return figure


def comparison_png(comparison: Comparison) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    draw_comparison(comparison).savefig(file, dpi=100, format="png", metadata={"Software": None})
    return file.getvalue()


def _draw(axes: Axes, comparison: Comparison, structure: str) -> None:
    points = [(pair.case, *pair.dice(structure)) for pair in comparison.pairs]
    points = [point for point in points if not math.isnan(point[1] + point[2])]
    axes.set(
        title=f"{structure.capitalize()} Dice of each case ({len(points)})",
        xlabel=comparison.first,
        ylabel=comparison.second,
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        aspect="equal",
    )
    axes.plot([0, 1], [0, 1], color=_GRAY, linewidth=0.8)
    axes.grid(alpha=0.3)
    if not points:
        axes.text(0.5, 0.6, "no case", transform=axes.transAxes, ha="center", color=_GRAY)
        return
    axes.scatter([p[1] for p in points], [p[2] for p in points], s=20, c=_BLUE, alpha=0.7)
    apart = sorted(points, key=lambda point: -abs(point[2] - point[1]))
    for name, x, y in apart[:_MOST_NAMES]:
        if abs(y - x) >= _CLEAR:
            side = "left" if x < 0.5 else "right"
            shift = 5 if side == "left" else -5
            axes.annotate(
                name, (x, y), (shift, 3), textcoords="offset points", ha=side, fontsize=7,
            )  # fmt: skip
