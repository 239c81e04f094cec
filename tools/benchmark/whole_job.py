"""The whole job as a user starts it: a program from DICOM folder to SEG."""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import renalseg
from renalseg.errors import RenalSegError
from renalseg.output.folder import RESULT_FILE
from renalseg.pipeline import STAGES
from renalseg.settings import Settings
from tools.benchmark import launch

Command = Callable[[Path, Path, Settings], list[str]]

ROOT = Path(renalseg.__file__).resolve().parents[1]


@dataclass(frozen=True)
class Job:
    """Several runs of one program on one study.

    Attributes:
        runs: Seconds of each run, from the start of the process to its end.
        stages: Seconds of each stage, the median of the runs.
        peak_mib: Largest resident memory of any run.
    """

    runs: tuple[float, ...]
    stages: dict[str, float]
    peak_mib: float

    @property
    def seconds(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def around_seconds(self) -> float:
        """Time outside the stages: Python's start, imports, and the end of the process."""
        return self.seconds - sum(self.stages.values())


def plain_command(study: Path, out: Path, settings: Settings) -> list[str]:
    """``renalseg run``."""
    return [*program(), "run", str(study), str(out), *choices(settings)]


def graph_command(study: Path, out: Path, settings: Settings) -> list[str]:
    """``python -m app``, the MONAI Deploy application."""
    return [sys.executable, "-m", "app", "-i", str(study), "-o", str(out), *choices(settings)]


def why_no_graph() -> str | None:
    """Why the application cannot run here; None if it can."""
    if not (ROOT / "app" / "__main__.py").is_file():
        return f"the application is not measured: no folder app in {ROOT}"
    if importlib.util.find_spec("holoscan") is None:
        return "the application is not measured: Holoscan is not installed"
    return None


def program() -> list[str]:
    """The command ``renalseg`` of this environment."""
    script = Path(sys.executable).with_name("renalseg")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "renalseg.commands.main"]


def choices(settings: Settings) -> list[str]:
    """The options that choose the same bundles and device."""
    return [
        *("-m", str(settings.choice.bundles)),
        *("--method", settings.choice.algorithm),
        *("--device", str(settings.choice.device)),
    ]


def measure_job(
    command: Command,
    study: Path,
    settings: Settings,
    repeat: int,
    step: Callable[[str], None],
    warm_up: bool = True,
) -> Job:
    """Runs a program several times, after a warm-up run.

    The warm-up converts the networks unless they are cached, compiles Python's modules, and brings
    the files into memory.

    Args:
        command: Returns the program and its arguments for study, output folder and settings.
        study: Folder with the DICOM files.
        settings: Bundles and device.
        repeat: Runs that count.
        step: Called with the name of the next step.
        warm_up: Whether there is a warm-up run.

    Raises:
        RenalSegError: A run failed; the message has the end of its output.
    """
    with tempfile.TemporaryDirectory() as folder:
        first = 0 if warm_up else 1
        outputs = [Path(folder) / str(index) for index in range(first, repeat + 1)]
        measured = []
        for index, out in enumerate(outputs, start=first):
            step(f"run {index} of {repeat}" if index else "a warm-up run")
            measured.append(run_program(command(study, out, settings), Path(folder) / "report"))
        stages = [
            json.loads((out / RESULT_FILE).read_text(encoding="utf-8"))["studies"][0]["seconds"]
            for out in outputs[-repeat:]
        ]
    counted = measured[-repeat:]
    return Job(
        runs=tuple(seconds for seconds, _ in counted),
        stages={name: statistics.median(run[name] for run in stages) for name in STAGES},
        peak_mib=max(peak for _, peak in counted),
    )


def run_program(command: Sequence[str], report: Path) -> tuple[float, float]:
    """Seconds and peak memory in MiB of a program that must succeed.

    Args:
        command: The program and its arguments.
        report: File that receives the measurements.

    Raises:
        RenalSegError: It failed; the message has the end of its output.
    """
    launcher = [sys.executable, "-I", "-S", launch.__file__, str(report)]
    # which makes each run compile all modules
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [*launcher, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-5:]
        raise RenalSegError(
            f"Expected {' '.join(command)} to succeed, it ended with {done.returncode}:\n"
            + "\n".join(said)
        )
    values = json.loads(report.read_text(encoding="utf-8"))
    return float(values["seconds"]), float(values["peak_mib"])
