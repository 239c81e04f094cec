"""The machine of a measurement, and how fast it multiplies matrices."""

from __future__ import annotations

import math
import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from renalseg import __version__
from renalseg.inference.inferers import fast_dtype
from renalseg.runtime.memory import physical_bytes

PACKAGES = ("torch", "openvino", "monai", "numpy", "holoscan-cu13")
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """A description without the names of host and user.

    Attributes:
        cpu: Model.
        cores: That this process may use.
        threads: Of torch, and of the networks.
        memory_gib: Of the machine.
        device: Where the networks ran, with its name if it is a GPU.
        fast_dtype: The type that the device multiplies fastest.
        system: Operating system and architecture.
        versions: Of RenalSeg, Python and the libraries that are installed.
        date: Of the measurement, UTC.
    """

    cpu: str
    cores: int
    threads: int
    memory_gib: float
    device: str
    fast_dtype: str
    system: str
    versions: dict[str, str]
    date: str


def describe(device: torch.device) -> Machine:
    """The machine that this process runs on."""
    versions = {"renalseg": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    name = str(device)
    if device.type == "cuda":
        name += f", {torch.cuda.get_device_name(device)}"
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        threads=torch.get_num_threads(),
        memory_gib=round((physical_bytes() or math.nan) / 2**30, 1),
        device=name,
        fast_dtype=str(fast_dtype(device)).removeprefix("torch."),
        system=f"{platform.system()} {platform.machine()}",
        versions=versions,
        date=datetime.now(UTC).date().isoformat(),
    )


def _cores() -> int:
    return os.cpu_count() or 1


def _cpu_model() -> str:
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def finish(device: torch.device) -> None:
    """Waits until a device has finished its work; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_rate(device: torch.device, size: int = 2048, repeat: int = 30) -> float:
    """Operations per second of a matrix product in the device's fastest type, the best of several.

    Args:
        device: The device that multiplies.
        size: Rows and columns of both matrices.
        repeat: Measured products, after a warm-up.

    Returns:
        Multiplications and additions per second.
    """
    a, b = (torch.randn(size, size, device=device).to(fast_dtype(device)) for _ in range(2))
    best = float("inf")
    for index in range(repeat + 1):
        finish(device)
        start = time.perf_counter()
        torch.mm(a, b)
        finish(device)
        if index:
            best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
