"""Seconds and peak memory of each method on a synthetic study."""

from __future__ import annotations

import platform
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.table import Table

from renalseg import pipeline
from renalseg.memory import peak_mib, reset_peak
from renalseg.models import Models
from renalseg.settings import Settings, available_methods
from renalseg.synthesis.sample import write_sample

T = TypeVar("T")


def print_bench(
    slice_counts: Sequence[int],
    methods: Sequence[str] = (),
    device: str | None = None,
    repeat: int = 3,
) -> None:
    """Runs methods on samples of 512 x 512 pixels and prints a table for each size.

    Each run does the whole job from the folder of slices to the files of the result, but for
    starting Python and importing libraries. A first run, which converts the networks where they
    are not kept yet, does not count; of the others the median does.

    Args:
        slice_counts: Slices of the samples.
        methods: Names of methods; none: all that are there.
        device: As in `Settings.resolve`.
        repeat: Runs that count.
    """
    default = Settings.resolve(device=device)
    choices = [
        Settings.resolve(method=method, device=device)
        for method in methods or available_methods(default.bundles)
    ]
    console = Console(highlight=False)
    console.print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, {default.device}; seconds, median of {repeat}"
    )
    for slices in slice_counts:
        table = Table("method", title=f"512 x 512 x {slices}", title_justify="left")
        for heading in (*pipeline.STAGES, "all", "peak MiB"):
            table.add_column(heading, justify="right")
        with tempfile.TemporaryDirectory() as folder:
            write_sample(Path(folder) / "in", slices=slices)
            for settings in choices:
                runs = [_measure(Path(folder), settings) for _ in range(repeat + 1)][1:]
                middle = [
                    statistics.median(run[0][name] for run in runs) for name in pipeline.STAGES
                ]
                total = statistics.median(sum(run[0].values()) for run in runs)
                peak = max(run[1] for run in runs)
                cells = (f"{seconds:.2f}" for seconds in (*middle, total))
                table.add_row(settings.algorithm, *cells, f"{peak:.0f}")
        console.print(table)


def _measure(folder: Path, settings: Settings) -> tuple[dict[str, float], float]:
    """Seconds of each stage, and the peak memory of the process in MiB."""
    timings: dict[str, float] = {}

    def stage(name: str, function: Callable[..., T], *arguments: Any) -> T:
        with pipeline.stage(name, timings):
            return function(*arguments)

    reset_peak()
    models = Models(settings)
    series = stage("read", pipeline.load_study, folder / "in" / "dicom")
    kidney = stage("localize", pipeline.localize, series, models)
    pred = stage("tumor", pipeline.find_tumors, series, kidney, models)
    stage("write", pipeline.write_results, series, pred, folder / "out", settings, timings)
    return timings, peak_mib()
