"""The stages from a DICOM study to a DICOM segmentation, one function each.

The operators of the application call them one by one; `run` calls them all, without Holoscan.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from monai.data import MetaTensor

from renalseg import log
from renalseg.dicom.read import CTSeries, read_series
from renalseg.models import Models
from renalseg.progress import announce, steps
from renalseg.results import Result, weak_bundles, write_results

STAGES: Mapping[str, str] = {
    "read": "Reading the series",
    "localize": "Finding the kidneys",
    "tumor": "Finding tumors",
    "write": "Writing the segmentation",
}


@contextmanager
def timed(name: str, timings: dict[str, float]) -> Iterator[None]:
    """Keeps the seconds of a stage when it is done.

    Args:
        name: A key of `STAGES`.
        timings: Gets the seconds under that name.
    """
    start = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - start


@contextmanager
def stage(name: str, timings: dict[str, float]) -> Iterator[None]:
    """Announces a stage, and keeps its seconds when it is done.

    Args:
        name: A key of `STAGES`.
        timings: Gets the seconds under that name.
    """
    log.say(STAGES[name], "stage began", stage=name)
    with timed(name, timings):
        yield
    log.note("stage ended", stage=name, seconds=round(timings[name], 3))


def load_study(dicom_dir: Path) -> CTSeries:
    """Reads the CT series of a folder.

    Raises:
        InputError: There is none that can be processed.
    """
    with steps("slices") as progress:
        series = read_series(dicom_dir, progress=progress)
    log.bind_study(series.headers[0].get("StudyInstanceUID"))
    for warning in series.warnings:
        announce(f"Warning: {warning}")
    return series


def localize(series: CTSeries, models: Models) -> MetaTensor:
    """Finds the kidneys: (1, X, Y, Z) uint8 on the grid of the series, 1 = kidney or tumor."""
    for warning in weak_bundles(models.settings):
        announce(f"Warning: {warning}")
    return models.localizer(series.image)


def find_tumors(series: CTSeries, kidney: MetaTensor, models: Models) -> MetaTensor:
    """Segments the kidneys: (1, X, Y, Z) uint8 on the grid of the series, 1 kidney, 2 tumor."""
    return models.tumor(series.image, kidney)


def run(dicom_dir: Path, out_dir: Path, models: Models) -> Result:
    """Runs all stages.

    Args:
        dicom_dir: Folder with the DICOM files of a study; only read.
        out_dir: Gets the results when they are complete.
        models: What runs; they may still be compiled.
    """
    timings: dict[str, float] = {}
    with stage("read", timings):
        series = load_study(dicom_dir)
    with stage("localize", timings):
        kidney = localize(series, models)
    with stage("tumor", timings):
        pred = find_tumors(series, kidney, models)
    with stage("write", timings):
        return write_results(series, pred, out_dir, models.settings, timings)
