"""A benchmark as tables for the terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import IO

import msgspec
from rich.console import Console
from rich.table import Table

from renalseg.pipeline import STAGES
from tools.benchmark.goals import Goal, goals_of
from tools.benchmark.results import Benchmark, MethodResult
from tools.benchmark.whole_job import Job

WIDTH = 110  # characters, if the output is not a terminal


def make_console(file: IO[str] | None = None) -> Console:
    """A console for `print_report`, wide enough for its tables in a file."""
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


def print_report(benchmark: Benchmark, console: Console) -> None:
    """Prints the measurements, the comparisons, and which goals are met."""
    machine = benchmark.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    console.print(
        f"{machine.cpu}, {machine.cores} cores, {machine.threads} threads, "
        f"{machine.memory_gib:g} GiB, {machine.device}, {machine.fast_dtype}, {machine.date}"
    )
    console.print(versions)
    for slices in benchmark.slices:
        console.print(_jobs(benchmark, slices))
        if benchmark.matmul_flops_per_s is not None and slices == benchmark.reference_slices:
            console.print(_networks(benchmark, slices, benchmark.matmul_flops_per_s))
    for line in (
        *_throughput(benchmark),
        *_nnunet(benchmark),
        *_stock(benchmark),
        *benchmark.skipped,
    ):
        console.print(line)
    console.print(_goals(benchmark))


def _table(title: str, *headings: str) -> Table:
    # without a space before each value, so that all stages fit
    table = Table(headings[0], title=title, title_justify="left", padding=(0, 1, 0, 0))
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table


def _jobs(benchmark: Benchmark, slices: int) -> Table:
    size, results = benchmark.size, benchmark.of_size(slices)
    runs = len(results[0].job.runs)
    how = f"median of {runs}; the networks in a separate run" if runs > 1 else "one run"
    title = f"{size} x {size} x {slices}: seconds, {how}"
    headings = ("method", "whole\njob", *STAGES, "around", "networks", "rest", "peak\nMiB")
    table = _table(title, *headings)

    def add(name: str, job: Job, *network: float) -> None:
        seconds = (job.seconds, *(job.stages[stage] for stage in STAGES), job.around_seconds)
        values = [f"{value:.2f}" for value in (*seconds, *network)]
        table.add_row(name, *values, *[""] * (2 - len(network)), f"{job.peak_mib:.0f}")

    for result in results:
        network = (result.network_seconds, result.rest_seconds) if result.windows else ()
        add(result.method, result.job, *network)
        if result.graph is not None and result.graph_rest_seconds is not None:
            name = f"{result.method}, app"
            add(name, result.graph, result.network_seconds, result.graph_rest_seconds)
    return table


def _networks(benchmark: Benchmark, slices: int, rate: float) -> Table:
    title = (
        f"(a) the same networks in torch, eager, float32; (b) bound: their operations at "
        f"{rate / 1e9:.0f} GFLOP/s, a matrix product in {benchmark.machine.fast_dtype}"
    )
    headings = (
        *("method", "inputs", "torch s", "(a)", "TFLOP", "bound s"),
        *("networks\n/ bound", "job\n/ bound", "job -\nbound s"),
    )
    table = _table(title, *headings)
    for result in benchmark.of_size(slices):
        table.add_row(result.method, *_ratios(benchmark, result))
    return table


def _ratios(benchmark: Benchmark, result: MethodResult) -> list[str]:
    eager, bound, flops = result.eager_seconds, benchmark.bound_seconds(result), result.flops
    if eager is None or flops is None or not bound:
        return []
    job, network = result.job.seconds, result.network_seconds
    return [
        str(sum(windows.count for windows in result.windows)),
        f"{eager:.2f}",
        f"{eager / network:.1f}x",
        f"{flops / 1e12:.2f}",
        f"{bound:.2f}",
        f"{network / bound:.2f}x",
        f"{job / bound:.2f}x",
        f"{job - bound:.2f}",
    ]


def _throughput(benchmark: Benchmark) -> Iterator[str]:
    found = benchmark.throughput
    if found is None:
        return
    yield (
        f"{found.method}, {found.slices} slices, one process for many studies: "
        f"{found.seconds_per_study:.1f} s per study, {found.studies_per_hour:.0f} an hour, "
        f"peak {found.peak_mib:.0f} MiB (the first study, with the start: {found.seconds[0]:.1f} s)"
    )


def _nnunet(benchmark: Benchmark) -> Iterator[str]:
    nnunet = benchmark.nnunet
    if nnunet is None:
        return
    yield (
        f"(c) nnU-Net {nnunet.version}, 3d_fullres, one network, mirroring on: "
        f"{nnunet.seconds:.0f} s, {nnunet.unmirrored_seconds:.0f} s without, extrapolated "
        f"from one tile of {nnunet.tile_seconds:.1f} s to the {nnunet.tiles} tiles of "
        f"{' x '.join(map(str, nnunet.grid))} voxels, without "
        "reading, resampling and writing. It looks at the whole volume at 0.78 mm; the methods "
        "here look for the kidneys on a coarser grid, and more closely only in its boxes."
    )


def _stock(benchmark: Benchmark) -> Iterator[str]:
    stock = benchmark.stock
    if stock is None:
        return
    steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in stock.seconds.items())
    peak = "" if stock.peak_mib is None else f", peak {stock.peak_mib:.0f} MiB"
    yield (
        "(d) MONAI's transforms alone, network of the default localizer with three classes: "
        f"{stock.total_seconds:.1f} s, {stock.rest_seconds:.1f} s without the network ({steps}); "
        f"{stock.windows} windows of {stock.window_seconds:.2f} s in torch{peak}"
    )
    for result in benchmark.of_size(benchmark.reference_slices):
        ratio = stock.rest_seconds / result.rest_seconds
        yield f"    {ratio:.1f} times the rest of {result.method}, the whole job without networks"


def _goals(benchmark: Benchmark) -> Table:
    goals = goals_of(benchmark)
    methods = [result.method for result in benchmark.of_size(benchmark.reference_slices)]
    size = benchmark.size
    measured = f"{size} x {size} x {benchmark.reference_slices}"
    title = f"goals (✓ met, ✗ missed), for a CT of 512 x 512 x 200; measured with {measured}"
    table = _table(title, "goal", *methods)
    by_text: dict[str, dict[str, Goal]] = {}
    for goal in goals:
        by_text.setdefault(goal.text, {})[goal.method] = goal
    for text, of_method in by_text.items():
        cells = (of_method.get(method) for method in methods)
        table.add_row(text, *(_cell(goal) for goal in cells))
    return table


def _cell(goal: Goal | None) -> str:
    if goal is None:
        return ""
    gap = "" if goal.unit == "x" else " "
    mark = "[green]✓[/green]" if goal.met else "[red]✗[/red]"
    return f"{goal.value:.{0 if goal.value >= 100 else 2}f}{gap}{goal.unit} {mark}"


def to_json(benchmark: Benchmark) -> str:
    """Everything measured, and the goals under `goals`."""
    goals = [asdict(goal) for goal in goals_of(benchmark)]
    return json.dumps(asdict(benchmark) | {"goals": goals}, indent=2) + "\n"


def from_json(text: str) -> Benchmark:
    """The benchmark that `to_json` wrote."""
    return msgspec.json.decode(text, type=Benchmark)
