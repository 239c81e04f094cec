"""Many studies through one process: `renalseg archive`."""

from __future__ import annotations

import csv
import os
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from renalseg.archive import SUMMARY_FILE
from renalseg.settings import Settings
from tools.benchmark.whole_job import choices, program, run_program

STUDIES = 6


@dataclass(frozen=True)
class Throughput:
    """Studies in one process whose models stay loaded.

    Attributes:
        method: Name of the method.
        slices: Of each study.
        seconds: Of each study, from the end of the one before; the first includes the start.
        peak_mib: Largest resident memory; two studies are in memory at a time.
    """

    method: str
    slices: int
    seconds: tuple[float, ...]
    peak_mib: float

    @property
    def seconds_per_study(self) -> float:
        """The median of all but the first."""
        return statistics.median(self.seconds[1:])

    @property
    def studies_per_hour(self) -> float:
        """Once it is warm."""
        return 3600 / self.seconds_per_study


def measure_throughput(study: Path, slices: int, settings: Settings) -> Throughput:
    """Segments copies of a study in one process.

    Args:
        study: Folder with the DICOM files.
        slices: Of it.
        settings: Bundles and device.

    Raises:
        RenalSegError: The process failed.
    """
    with tempfile.TemporaryDirectory(dir=study.parent) as folder:
        root, out = Path(folder) / "studies", Path(folder) / "results"
        for number in range(STUDIES):
            shutil.copytree(study, root / str(number), copy_function=os.link)
        command = [*program(), "archive", str(root), str(out), *choices(settings)]
        _, peak_mib = run_program(command, Path(folder) / "report")
        with (out / SUMMARY_FILE).open(newline="", encoding="utf-8") as file:
            seconds = tuple(float(row["seconds"]) for row in csv.DictReader(file))
    return Throughput(settings.choice.algorithm, slices, seconds, peak_mib)
