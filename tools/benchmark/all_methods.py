"""Runs a benchmark: all methods on samples of all sizes, and the references."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from renalseg.errors import ConfigError
from renalseg.runtime.progress import announce, bar_wanted
from renalseg.settings import DEFAULT_METHOD, Settings, available_methods
from renalseg.synthesis.sample import SIZE, SPACING, write_sample
from tools.benchmark.networks import measure_networks
from tools.benchmark.nnunet import INSTALL, NnUNet, measure_nnunet
from tools.benchmark.results import Benchmark, MethodResult
from tools.benchmark.stock import Stock, measure_stock
from tools.benchmark.throughput import Throughput, measure_throughput
from tools.benchmark.whole_job import (
    Command,
    Job,
    graph_command,
    measure_job,
    plain_command,
    why_no_graph,
)
from tools.machine import describe, matmul_rate

REFERENCE_SLICES = 200


@dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes:
        slices: Slices of the samples. One of them is the reference, on which everything is
            measured; on the others each method runs once, to show how cost grows.
        methods: Names of methods; none for all available.
        repeat: Measured runs on the reference.
        device: As in `Settings.resolve`.
        references: Whether the ratios (a) to (d) are measured as well.
        nnunet: Folder with nnU-Net, for (c).
        size: Rows and columns of the samples.
    """

    slices: tuple[int, ...] = (REFERENCE_SLICES,)
    methods: tuple[str, ...] = ()
    repeat: int = 3
    device: str | None = None
    references: bool = True
    nnunet: Path | None = None
    size: int = SIZE

    def __post_init__(self) -> None:
        """Refuses invalid options."""
        if self.repeat < 1:
            raise ConfigError(f"Expected one run or more, got {self.repeat}")
        if not self.slices or not all(2 <= count <= 2000 for count in self.slices):
            raise ConfigError(f"Expected 2 to 2000 slices, got {list(self.slices)}")

    @property
    def reference_slices(self) -> int:
        """Slices of the sample for the goals, the application and the references."""
        return REFERENCE_SLICES if REFERENCE_SLICES in self.slices else self.slices[0]

    def settings(self) -> list[Settings]:
        """Settings of each method, the default first.

        Raises:
            ConfigError: There is no such method or device.
        """
        bundles = Settings.resolve(device=self.device).choice.bundles
        names = self.methods or (DEFAULT_METHOD, *available_methods(bundles))
        return [Settings.resolve(method=name, device=self.device) for name in names]


class Progress:
    """Shows a bar on a terminal, otherwise a line per step.

    Args:
        total: Number of steps.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._begun = 0
        self._bar = tqdm(total=total, unit="step", disable=not bar_wanted(), leave=False)

    def step(self, what: str) -> None:
        """Announces the next step; the one before is done."""
        if self._begun:
            self._bar.update()
        self._begun += 1
        self._bar.set_description(what)
        if self._bar.disable:
            announce(f"[{self._begun}/{self.total}] {what}")

    def close(self) -> None:
        """Removes the bar."""
        self._bar.close()


def run_benchmark(options: Options) -> Benchmark:
    """Measures.

    Raises:
        ConfigError: There is no such method or device.
        RenalSegError: A run of a program failed.
    """
    choices = options.settings()
    reference, device = options.reference_slices, choices[0].choice.device
    graph_of, no_graph = choices[0].choice.algorithm, why_no_graph()
    skipped = [no_graph] if no_graph else []
    runs = options.repeat + 1
    jobs = 1 + len(choices) * (runs + 1) + (0 if no_graph else runs)
    growth = [slices for slices in options.slices if slices != reference]
    jobs += len(growth) * (1 + len(choices))
    progress = Progress(jobs + (4 if options.references else 0))
    results: list[MethodResult] = []
    nnunet: NnUNet | None = None
    stock: Stock | None = None
    throughput: Throughput | None = None
    rate: float | None = None
    with tempfile.TemporaryDirectory() as folder, closing(progress):
        for slices in (reference, *growth):  # the first one converts the networks for the others
            sample = Path(folder) / str(slices)
            progress.step(f"drawing a sample of {slices} slices")
            write_sample(sample, slices=slices, size=options.size)
            for settings in choices:
                arguments = (settings, slices, sample / "dicom")
                if slices == reference:
                    graph = not no_graph and settings.choice.algorithm == graph_of
                    result = _measure_method(*arguments, options, graph, progress.step)
                else:
                    result = _measure_growth(*arguments, progress.step)
                results.append(result)
        if options.references:
            study = Path(folder) / str(reference) / "dicom"
            progress.step(f"{graph_of}, {reference} slices: one process for many studies")
            throughput = measure_throughput(study, reference, choices[0])
            progress.step("(b) matrix products")
            rate = matmul_rate(device)
            progress.step("(d) MONAI's transforms alone")
            default = Settings.resolve(device=options.device)
            stock = measure_stock(study, default.choice.bundles / default.choice.localizer, device)
            progress.step("(c) nnU-Net")
            shape = (options.size, options.size, reference)
            spacing = (*(mm * SIZE / options.size for mm in SPACING[:2]), SPACING[2])
            try:
                nnunet = measure_nnunet(options.nnunet, shape, spacing, device)
            except ImportError:
                skipped.append(INSTALL)
    return Benchmark(
        machine=describe(device),
        size=options.size,
        reference_slices=reference,
        methods=tuple(results),
        matmul_flops_per_s=rate,
        nnunet=nnunet,
        throughput=throughput,
        stock=stock,
        skipped=tuple(skipped),
    )


def _measure_growth(
    settings: Settings, slices: int, study: Path, step: Callable[[str], None]
) -> MethodResult:
    name = f"{settings.choice.algorithm}, {slices} slices"
    job = measure_job(
        plain_command, study, settings, 1, lambda _: step(f"{name}: whole job"), warm_up=False
    )
    return MethodResult(settings.choice.algorithm, slices, job, windows=())


def _measure_method(
    settings: Settings,
    slices: int,
    study: Path,
    options: Options,
    graph: bool,
    step: Callable[[str], None],
) -> MethodResult:
    name = f"{settings.choice.algorithm}, {slices} slices"

    def measure(what: str, command: Command) -> Job:
        return measure_job(
            command, study, settings, options.repeat, lambda run: step(f"{name}: {what}, {run}")
        )

    job = measure("whole job", plain_command)
    through_graph = measure("application", graph_command) if graph else None
    step(f"{name}: networks")
    windows = measure_networks(settings, study, eager=options.references)
    return MethodResult(settings.choice.algorithm, slices, job, windows, through_graph)
