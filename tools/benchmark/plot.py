"""A plot of seconds and memory by number of slices."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tools.benchmark.results import Benchmark


def draw_growth(benchmark: Benchmark) -> Figure:
    """Two panels over the number of slices: seconds of the whole job, and its peak memory in MiB.

    Each method has a curve in both.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for method in dict.fromkeys(result.method for result in benchmark.methods):
        results = sorted(
            (result for result in benchmark.methods if result.method == method),
            key=lambda result: result.slices,
        )
        slices = [result.slices for result in results]
        left.plot(slices, [result.job.seconds for result in results], marker="o", label=method)
        right.plot(slices, [result.job.peak_mib for result in results], marker="o", label=method)
    size = benchmark.size
    _label(left, "whole job (s)", size)
    _label(right, "peak memory (MiB)", size)
    left.legend()
    machine = benchmark.machine
    figure.suptitle(f"{machine.cpu}, {machine.threads} threads, {machine.device}, {machine.date}")
    return figure


def _label(axes: Axes, what: str, size: int) -> None:
    axes.set_xlabel(f"slices of {size} x {size}")
    axes.set_ylabel(what)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def save_growth(benchmark: Benchmark, path: Path) -> None:
    """Saves the plot as PNG or SVG, depending on the file name; creates its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_growth(benchmark).savefig(path, dpi=120)
