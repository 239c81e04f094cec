"""The summary as a picture: overlap of each case, agreement of volumes, tumors found by size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from renalseg.evaluation.case_score import CaseScore
from renalseg.evaluation.overlap import TUMORS
from renalseg.evaluation.summary import FAILED_BELOW, Summary

_SPREAD = 0.16  # of the points of a strip, to both sides
_MOST_NAMES = 8  # of failed cases that are written next to their points
_BLUE, _RED, _GRAY = "#2b6cb0", "#c53030", "#666666"


def draw_summary(scores: Sequence[CaseScore], summary: Summary) -> Figure:
    """Three panels: Dice of each case, tumor volumes (Bland-Altman), sensitivity by size.

    Args:
        scores: The cases.
        summary: Of all of them.
    """
    figure = Figure(figsize=(15, 5), layout="constrained")
    FigureCanvasAgg(figure)
    overlap, volume, found = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
    _draw_overlap(overlap, scores)
    _draw_volumes(volume, scores, summary)
    _draw_found(found, summary)
    cases = "case" if summary.cases == 1 else "cases"
    figure.suptitle(f"Prediction against label, {summary.cases} {cases}")
    return figure


def save_summary(scores: Sequence[CaseScore], summary: Summary, path: Path) -> None:
    """Saves the picture as PNG or SVG, as the name of the file says."""
    draw_summary(scores, summary).savefig(path, dpi=120)


def _draw_overlap(axes: Axes, scores: Sequence[CaseScore]) -> None:
    columns = [
        *((f"{name}\nDice", [s.kits19[name] for s in scores]) for name in ("kidney", "tumor")),
        ("tumor\nsurface Dice", [s.surface_dice[TUMORS.name] for s in scores if s.has_tumor]),
    ]
    values = [[value for value in column if not math.isnan(value)] for _, column in columns]
    places = range(len(columns))
    if any(len(column) > 1 for column in values):
        axes.boxplot(
            values, positions=places, widths=0.5, showfliers=False, medianprops={"color": _GRAY}
        )
    generator = np.random.default_rng(0)
    for place, column in zip(places, values, strict=True):
        x = place + generator.uniform(-_SPREAD, _SPREAD, len(column))
        colors = [_RED if value < FAILED_BELOW else _BLUE for value in column]
        axes.scatter(x, column, s=18, c=colors, alpha=0.7, linewidths=0, zorder=3)
        label = f"mean {np.mean(column):.2f}" if column else "no case"
        axes.text(place, 1.04, label, ha="center", fontsize=9)
    failed = [s.case for s in scores if s.kits19["tumor"] < FAILED_BELOW]
    for i, name in enumerate(failed[:_MOST_NAMES]):
        axes.text(1.3, 0.015 + 0.04 * i, name, fontsize=7, color=_RED)
    if len(failed) > _MOST_NAMES:
        more = f"and {len(failed) - _MOST_NAMES} more"
        axes.text(1.3, 0.015 + 0.04 * _MOST_NAMES, more, fontsize=7, color=_RED)
    axes.set_xticks(list(places), [name for name, _ in columns])
    axes.set(ylim=(-0.03, 1.1), xlim=(-0.6, len(columns) - 0.4), title="Overlap of each case")
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.grid(axis="y", alpha=0.3)


def _draw_volumes(axes: Axes, scores: Sequence[CaseScore], summary: Summary) -> None:
    volumes = [s.volumes[TUMORS.name] for s in scores if s.has_tumor]
    axes.set(
        title="Tumor volume (Bland-Altman)",
        xlabel="mean of predicted and labeled (ml)",
        ylabel="predicted minus labeled (ml)",
    )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.grid(alpha=0.3)
    if not volumes:
        _say(axes, "no labeled tumor")
        return
    middle = [(volume.pred + volume.label) / 2 for volume in volumes]
    axes.scatter(middle, [volume.error_ml for volume in volumes], s=18, c=_BLUE, alpha=0.7)
    found = summary.volumes[TUMORS.name]
    for value, name in (
        (found.bias_ml, "bias"),
        (found.high_ml, "bias + 1.96 SD"),
        (found.low_ml, "bias - 1.96 SD"),
    ):
        if math.isnan(value):
            continue
        axes.axhline(value, color=_RED, linewidth=1, linestyle="-" if name == "bias" else "--")
        axes.annotate(
            f"{name}: {value:+.1f}", (1, value), xycoords=("axes fraction", "data"),
            xytext=(-3, 3), textcoords="offset points", ha="right", fontsize=8, color=_RED,
        )  # fmt: skip
    if min(middle) > 0 and max(middle) > 30 * min(middle):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")


def _draw_found(axes: Axes, summary: Summary) -> None:
    parts = (*summary.by_size, summary.lesions)
    axes.set(xlabel="longest diameter (cm)", ylabel="sensitivity", ylim=(0, 1.1))
    axes.set_xticks(range(len(parts)), [part.name.removesuffix(" cm") for part in parts])
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.grid(axis="y", alpha=0.3)
    for place, part in enumerate(parts):
        axes.text(place, 1.04, f"{part.found} of {part.lesions}", ha="center", fontsize=9)
        rate = part.sensitivity
        if not part.lesions:
            continue
        color = _GRAY if part is summary.lesions else _BLUE
        axes.bar(place, rate.value, width=0.6, color=color, alpha=0.75)
        if not math.isnan(rate.low):
            # the interval of a bootstrap may not hold the value by rounding
            reach = [[max(0.0, rate.value - rate.low)], [max(0.0, rate.high - rate.value)]]
            axes.errorbar(place, rate.value, yerr=reach, color="black", capsize=4, linewidth=1)
    title = f"Tumors found; {summary.false_positives.value:.2f} false positives per scan"
    if summary.tumor_free:
        free = summary.tumor_free_false_positives.value
        title += f",\n{free:.2f} in the {summary.tumor_free} without tumor"
    axes.set_title(title)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.6, text, transform=axes.transAxes, ha="center", color=_GRAY)
