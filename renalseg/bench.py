"""Seconds and peak memory of each stage on a synthetic study."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.table import Table

from renalseg import pipeline
from renalseg.memory import peak_mib, reset_peak
from renalseg.settings import Settings
from renalseg.synthesis.sample import write_sample

T = TypeVar("T")


def print_bench(slice_counts: list[int], device: str | None = None) -> None:
    """Runs the stages on samples of 512 x 512 pixels and prints a table for each.

    Args:
        slice_counts: Slices of the samples.
        device: As in `Settings.resolve`.
    """
    settings = Settings.resolve(device=device)
    console = Console(highlight=False)
    console.print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, {settings.device}, {settings.algorithm}"
    )
    for slices in slice_counts:
        with tempfile.TemporaryDirectory() as folder:
            write_sample(Path(folder) / "in", slices=slices)
            rows = _measure(Path(folder), settings)
        table = Table("stage", title=f"512 x 512 x {slices}", title_justify="left")
        table.add_column("seconds", justify="right")
        table.add_column("peak MiB", justify="right")
        for name, seconds, peak in rows:
            table.add_row(name, f"{seconds:.2f}", f"{peak:.0f}")
        table.add_section()
        total, highest = sum(row[1] for row in rows), max(row[2] for row in rows)
        table.add_row("all", f"{total:.2f}", f"{highest:.0f}")
        console.print(table)


def _measure(folder: Path, settings: Settings) -> list[tuple[str, float, float]]:
    """Stage, seconds and peak memory in MiB; the peak counts what earlier stages left behind."""
    timings: dict[str, float] = {}
    peaks: dict[str, float] = {}

    def stage(name: str, function: Callable[..., T], *arguments: Any) -> T:
        reset_peak()
        with pipeline.stage(name, timings):
            value = function(*arguments)
        peaks[name] = peak_mib()
        return value

    series = stage("read", pipeline.load_study, folder / "in" / "dicom")
    kidney = stage("localize", pipeline.localize, series, settings)
    pred = stage("tumor", pipeline.find_tumors, series, kidney, settings)
    stage("write", pipeline.write_results, series, pred, folder / "out", settings, timings)
    return [(name, timings[name], peaks[name]) for name in timings]
