"""Benchmarks with round numbers."""

from __future__ import annotations

from renalseg.pipeline import STAGES
from renalseg.settings import DEFAULT_METHOD
from tools.benchmark.networks import Windows
from tools.benchmark.nnunet import NnUNet
from tools.benchmark.results import Benchmark, MethodResult
from tools.benchmark.stock import Stock
from tools.benchmark.throughput import Throughput
from tools.benchmark.whole_job import Job
from tools.machine import Machine

MACHINE = Machine(
    cpu="a CPU",
    cores=2,
    threads=2,
    memory_gib=8.0,
    device="cpu",
    fast_dtype="bfloat16",
    system="Linux x86_64",
    versions={"renalseg": "1", "torch": "2"},
    date="2030-01-02",
)
WINDOWS = (
    Windows("kidney_m", (1, 1, 8, 8, 8), 4, seconds=2.0, eager_seconds=2.0, flops=1e9),
    Windows("tumor_m", (1, 1, 4, 4, 4), 2, seconds=1.0, eager_seconds=1.0, flops=2e9),
)  # 3 s, 10 s in torch, 8 GFLOP


def job(*runs: float, peak_mib: float = 1024.0) -> Job:
    return Job(runs or (4.5,), dict.fromkeys(STAGES, 1.0), peak_mib)


def result(
    method: str = DEFAULT_METHOD, slices: int = 200, whole: Job | None = None
) -> MethodResult:
    return MethodResult(method, slices, whole or job(), WINDOWS, graph=job(6.0))


def benchmark(*methods: MethodResult) -> Benchmark:
    """With a bound of 4 s for `WINDOWS`, and nnU-Net at 450 s without mirroring."""
    return Benchmark(
        machine=MACHINE,
        size=512,
        reference_slices=200,
        methods=methods or (result(),),
        matmul_flops_per_s=2e9,
        nnunet=NnUNet("2.0", (511, 511, 640), tiles=45, tile_seconds=80.0),
        throughput=Throughput(DEFAULT_METHOD, 200, (9.0, 2.5, 2.0, 3.0), peak_mib=1500.0),
        stock=Stock({"load": 4.0, "save": 2.0}, windows=5, window_seconds=2.0, peak_mib=3000.0),
        skipped=("something is not measured",),
    )
