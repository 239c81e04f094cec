"""Many studies by one process: the models stay loaded, and the next study is read meanwhile."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydicom.config import disable_value_validation
from tqdm import tqdm

from renalseg import log
from renalseg.dicom.read import CTSeries, read_series
from renalseg.errors import (
    EXIT_FAULT,
    EXIT_REFUSED,
    EXIT_RETRYABLE,
    InputError,
    exit_code_for,
)
from renalseg.labels import KIDNEY, TUMOR
from renalseg.models import Models
from renalseg.pipeline import timed
from renalseg.progress import announce, bar_wanted
from renalseg.results import RESULT_FILE, Result, weak_bundles, write_results
from renalseg.settings import Settings

SUMMARY_FILE = "archive.csv"
_COLUMNS = ("study", "exit_code", "finding", "kidney_ml", "tumor_ml", "seconds", "message")


@dataclass(frozen=True)
class Outcome:
    """How a study ended.

    Attributes:
        study: Its folder.
        result: What was found and written, if it was.
        error: What was raised otherwise.
        seconds: From the end of the study before to the end of this one.
    """

    study: Path
    result: Result | None
    error: Exception | None
    seconds: float

    @property
    def exit_code(self) -> int:
        """What a run of this study alone would have ended with."""
        return 0 if self.error is None else exit_code_for(self.error)

    @property
    def summary(self) -> str:
        """What was found, or why nothing was."""
        if self.result is not None:
            return self.result.finding
        return " ".join(str(self.error).split()) or type(self.error).__name__

    def row(self) -> dict[str, object]:
        """The study's line in the table of an archive."""
        segments = self.result.segments if self.result else ()
        volumes = {
            kind: sum(segment.volume_ml for segment in segments if segment.kind == kind)
            for kind in (KIDNEY, TUMOR)
        }
        values = (
            self.study.name,
            self.exit_code,
            self.result.finding if self.result else "",
            f"{volumes[KIDNEY]:.1f}" if self.result else "",
            f"{volumes[TUMOR]:.1f}" if self.result else "",
            f"{self.seconds:.2f}",
            self.summary if self.error else "",
        )
        return dict(zip(_COLUMNS, values, strict=True))


def find_studies(root: Path, out_root: Path, *, again: bool = False) -> list[Path]:
    """The folders in `root`, in order of their names: each is a study.

    Args:
        root: Folder of studies.
        out_root: Folder of results; a study whose result is there is left out.
        again: Leave none out.

    Raises:
        InputError: There is no such folder, or it holds no folder.
    """
    if not root.is_dir():
        raise InputError(f"Expected a folder of studies, found no folder at {root}")
    studies = sorted(path for path in root.iterdir() if path.is_dir())
    if not studies:
        raise InputError(f"Expected a folder for each study in {root}, found no folder in it")
    return [
        study for study in studies if again or not (out_root / study.name / RESULT_FILE).is_file()
    ]


def segment_archive(
    root: Path, out_root: Path, settings: Settings, *, again: bool = False
) -> list[Outcome]:
    """Segments the studies of a folder, shows how far it is, and keeps a table of how they ended.

    Args:
        root: Folder of studies, a folder each; only read.
        out_root: Gets a folder of results for each study, and `SUMMARY_FILE`, to which a later call
            adds. A study whose result is there is not done again.
        settings: What runs.
        again: Do all studies.

    Raises:
        InputError: There are no studies.
        ConfigError: A bundle is missing or broken.
    """
    studies = find_studies(root, out_root, again=again)
    outcomes: list[Outcome] = []
    if not studies:
        return outcomes
    for warning in weak_bundles(settings):
        announce(f"Warning: {warning}")
    out_root.mkdir(parents=True, exist_ok=True)
    bar = tqdm(total=len(studies), unit="study", disable=not bar_wanted())
    with Models(settings) as models, bar:
        for outcome in segment_all(studies, out_root, models):
            outcomes.append(outcome)
            append_row(out_root / SUMMARY_FILE, outcome)
            with bar.external_write_mode():
                _tell(outcome)
            bar.update()
    return outcomes


def _tell(outcome: Outcome) -> None:
    log.say(
        f"{outcome.study.name}: {outcome.summary} ({outcome.seconds:.1f} s)",
        "study ended",
        "error" if outcome.error else "info",
        message=f"{outcome.study}: {outcome.summary}",
        exit_code=outcome.exit_code,
        seconds=round(outcome.seconds, 3),
    )


def segment_all(studies: Sequence[Path], out_root: Path, models: Models) -> Iterator[Outcome]:
    """Segments studies one by one; one that fails does not stop the others.

    At most two studies are in memory: the one that is segmented, and the one that is read.

    Args:
        studies: Folders with the DICOM files of a study each; only read.
        out_root: Gets a folder with the results of each study, under the name of its folder.
        models: What runs; they may still be compiled.

    Yields:
        How each study ended, in order, as soon as it did.

    Raises:
        ConfigError: A bundle is missing or broken.
    """
    # Once around all: the setting is the process's, and reading and writing go on side by side.
    with disable_value_validation(), ThreadPoolExecutor(1, "reader") as reader:
        coming = iter(studies)
        ahead = _read(reader, coming)
        start = time.perf_counter()
        while ahead is not None:
            study, reading = ahead
            ahead = _read(reader, coming)
            result: Result | None = None
            error: Exception | None = None
            try:
                result = _segment(reading, out_root / study.name, models)
            except Exception as raised:
                models.check()  # what no study can do without ends them all
                error = raised
            now = time.perf_counter()
            yield Outcome(study, result, error, now - start)
            start = now


def worst(codes: Sequence[int]) -> int:
    """The exit code of several studies: a fault before what can be tried again before a refusal."""
    return next((code for code in (EXIT_FAULT, EXIT_RETRYABLE, EXIT_REFUSED) if code in codes), 0)


def append_row(path: Path, outcome: Outcome) -> None:
    """Adds a study to the table of an archive, a CSV file that is made where there is none."""
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        if fresh:
            writer.writeheader()
        writer.writerow(outcome.row())


_Reading = Future[tuple[CTSeries, dict[str, float]]]


def _read(reader: ThreadPoolExecutor, coming: Iterator[Path]) -> tuple[Path, _Reading] | None:
    study = next(coming, None)
    return None if study is None else (study, reader.submit(_timed_read, study))


def _timed_read(study: Path) -> tuple[CTSeries, dict[str, float]]:
    timings: dict[str, float] = {}
    with timed("read", timings):
        series = read_series(study)
    return series, timings


def _segment(reading: _Reading, out_dir: Path, models: Models) -> Result:
    series, timings = reading.result()
    with timed("localize", timings):
        kidney = models.localizer(series.image)
    with timed("tumor", timings):
        pred = models.tumor(series.image, kidney)
    return write_results(series, pred, out_dir, models.settings, timings)
