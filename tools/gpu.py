"""The command ``python -m tools gpu``: checks a machine with a GPU and measures it in minutes."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError, RenalSegError, RetryableError

CUDA = 13  # that of holoscan-cu13
DRIVER = 580  # the oldest for CUDA 13
ROOT = Path(__file__).parents[1]
_BENCH = ("bench", "--device", "cuda", "--slices", "200", "--repeat", "1")


@dataclass(frozen=True)
class Check:
    """What a machine needs for CUDA.

    Attributes:
        name: What is looked at.
        wanted: What it should be.
        found: What it is.
        good: Whether that will do.
    """

    name: str
    wanted: str
    found: str
    good: bool


def add_gpu_command(commands: Any) -> None:
    """Adds the command to the parser's subcommands."""
    gpu: argparse.ArgumentParser = commands.add_parser(
        "gpu", help="check what CUDA needs, and measure all methods on a GPU"
    )
    gpu.add_argument("--check", action="store_true", help="measure nothing")
    gpu.add_argument("--minutes", type=float, metavar="N", default=10, help="it ends after (10)")
    gpu.add_argument("--json", type=Path, metavar="FILE", default=Path("docs/benchmarks/gpu.json"))
    gpu.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    gpu.set_defaults(action=_gpu)


def _gpu(options: argparse.Namespace) -> None:
    start = time.monotonic()
    checks = list(check_machine())
    for check in checks:
        state = "ok" if check.good else "NO"
        sys.stdout.write(f"{state}  {check.name}: {check.found} (wanted: {check.wanted})\n")
    if bad := [f"{each.name}: {each.found}" for each in checks if not each.good]:
        raise ConfigError(
            f"Expected a machine with a GPU and CUDA {CUDA}, found {'; '.join(bad)}: nothing was "
            "measured"
        )
    if not options.check:
        left = 60 * options.minutes - (time.monotonic() - start)
        run([sys.executable, "-m", "tools", *_BENCH, "--json", str(options.json)], left)
        sys.stdout.write(f"{options.json}\n")


def check_machine() -> Iterator[Check]:
    """Looks at driver, torch, GPU, the CUDA runtime and the packages, also without a GPU."""
    import torch

    from renalseg.runtime.cuda_runtime import SONAME, ensure_cuda_runtime

    yield check_driver(_driver())
    built = torch.version.cuda
    wanted = f"built for CUDA {CUDA}"
    good = built is not None and built.split(".")[0] == str(CUDA)
    yield Check("torch", wanted, f"{torch.__version__}, CUDA {built or 'none'}", good)
    yield check_device(torch)
    try:
        ensure_cuda_runtime()
        yield Check(SONAME, "it can be loaded", "loaded, or not needed", True)
    except ConfigError as error:
        yield Check(SONAME, "it can be loaded", str(error), False)
    # The image has what its lock lists, which leaves out some of the requirements.
    in_image = "HOLOSCAN_PKG_MANIFEST_PATH" in os.environ
    yield check_pins(ROOT / ("deploy/image/cuda.lock" if in_image else "requirements.txt"))


def check_driver(found: str | None) -> Check:
    """Checks a version as nvidia-smi gives it; None where there is no such program."""
    number = re.match(r"\d+", found or "")
    good = number is not None and int(number[0]) >= DRIVER
    return Check("driver", f"{DRIVER} or later", found or "none", good)


def check_device(torch: Any) -> Check:
    """Checks that a network's convolution runs on the first GPU and gives what a CPU gives.

    Args:
        torch: The module.
    """
    wanted = "a GPU that convolves as a CPU does"
    if not torch.cuda.is_available():
        return Check("GPU", wanted, "none", False)
    name = torch.cuda.get_device_name(0)
    x = torch.linspace(-1, 1, 8**3).reshape(1, 1, 8, 8, 8)
    kernel = torch.linspace(-1, 1, 27).reshape(1, 1, 3, 3, 3)
    convolve = torch.nn.functional.conv3d
    try:
        off = (convolve(x.cuda(), kernel.cuda()).cpu() - convolve(x, kernel)).abs().max().item()
    except RuntimeError as error:
        return Check("GPU", wanted, f"{name}, {error}", False)
    return Check("GPU", wanted, f"{name}, off by {off:.1g}", off < 0.01)


def check_pins(path: Path) -> Check:
    """Checks that the packages are those of a file, in any build such as +cu130.

    Args:
        path: Requirements or a lock, whose hashes are passed over.
    """
    from packaging.requirements import Requirement

    lines = path.read_text(encoding="utf-8").splitlines()
    listed = [line.partition("#")[0].strip(" \\") for line in lines if not line.startswith(" ")]
    pins = [
        pin
        for pin in map(Requirement, filter(None, listed))
        if pin.marker is None or pin.marker.evaluate()
    ]
    others = [
        f"{pin.name} {found or 'missing'}"
        for pin in pins
        if not pin.specifier.contains((found := _version(pin.name)) or "0")
    ]
    return Check("packages", f"those of {path.name}", ", ".join(others) or "the same", not others)


def run(command: Sequence[str], seconds: float) -> None:
    """Runs a program, with all that it starts, for so long at most.

    Raises:
        RetryableError: It took longer, and was ended.
        RenalSegError: It failed.
    """
    process = subprocess.Popen(command, start_new_session=True)
    try:
        code = process.wait(max(seconds, 0))
    except subprocess.TimeoutExpired as error:
        raise RetryableError(
            f"the benchmark did not end within {seconds / 60:.1f} minutes: close what else uses "
            "the machine, or give it more (--minutes)"
        ) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code:
        raise RenalSegError(f"the benchmark ended with {code}")


def _driver() -> str | None:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.partition("\n")[0].strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
