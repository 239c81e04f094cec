"""The measurements of a benchmark, and figures derived from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tools.benchmark.networks import Windows
from tools.benchmark.nnunet import NnUNet
from tools.benchmark.stock import Stock
from tools.benchmark.throughput import Throughput
from tools.benchmark.whole_job import Job
from tools.machine import Machine


@dataclass(frozen=True)
class MethodResult:
    """One method on a study of one size.

    Attributes:
        method: Its name.
        slices: Of the study.
        job: ``renalseg run``.
        windows: Inputs of its networks; none if that was not measured.
        graph: The same job through the MONAI Deploy application, if that was measured.
    """

    method: str
    slices: int
    job: Job
    windows: tuple[Windows, ...]
    graph: Job | None = None

    @property
    def network_seconds(self) -> float:
        """Of both networks."""
        return sum(windows.seconds for windows in self.windows)

    @property
    def rest_seconds(self) -> float:
        """Of the whole job without the networks."""
        return self.job.seconds - self.network_seconds

    @property
    def graph_rest_seconds(self) -> float | None:
        """Of the whole job through the application without the networks."""
        return None if self.graph is None else self.graph.seconds - self.network_seconds

    @property
    def eager_seconds(self) -> float | None:
        """Of both networks in eager torch, float32."""
        return _sum(
            None if windows.eager_seconds is None else windows.count * windows.eager_seconds
            for windows in self.windows
        )

    @property
    def flops(self) -> float | None:
        """Multiplications and additions in convolutions and matrix products of both networks."""
        return _sum(
            None if windows.flops is None else windows.count * windows.flops
            for windows in self.windows
        )


@dataclass(frozen=True)
class Benchmark:
    """A whole benchmark.

    Attributes:
        machine: Where it ran.
        size: Rows and columns of the studies.
        reference_slices: Slices of the study that the goals and the references are for.
        methods: The results, by size of the study and method.
        matmul_flops_per_s: Of a matrix product in the device's fastest type, in the same run.
        nnunet: nnU-Net on the same study, extrapolated.
        throughput: Of the first measured method, on many copies of the same study.
        stock: A pipeline of MONAI's own transforms on the same study.
        skipped: What was not measured, and why.
    """

    machine: Machine
    size: int
    reference_slices: int
    methods: tuple[MethodResult, ...]
    matmul_flops_per_s: float | None = None
    nnunet: NnUNet | None = None
    throughput: Throughput | None = None
    stock: Stock | None = None
    skipped: tuple[str, ...] = ()

    def bound_seconds(self, result: MethodResult) -> float | None:
        """Seconds of the operations of a method's networks at the rate of a matrix product."""
        if result.flops is None or self.matmul_flops_per_s is None:
            return None
        return result.flops / self.matmul_flops_per_s

    @property
    def slices(self) -> list[int]:
        """The sizes of the studies."""
        return list(dict.fromkeys(result.slices for result in self.methods))

    def of_size(self, slices: int) -> list[MethodResult]:
        """The results for studies of one size."""
        return [result for result in self.methods if result.slices == slices]


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
