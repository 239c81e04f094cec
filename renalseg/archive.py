"""Many studies by one process: the models stay loaded, and the next study is read meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from pydicom.config import disable_value_validation
from tqdm import tqdm

from renalseg.dicom.read.files import list_files
from renalseg.errors import (
    EXIT_FAULT,
    EXIT_REFUSED,
    EXIT_RETRYABLE,
    InputError,
    RenalSegError,
    exit_code_for,
    plural,
    some_of,
)
from renalseg.findings.sentences import cut_off
from renalseg.inference.models import Models
from renalseg.intake import folders as intake
from renalseg.intake.ct import CT, read_study
from renalseg.intake.folders import AnyFolder, AnyStudy
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.output.archive_table import COLUMNS, SUMMARY_FILE, put_rows, study_names
from renalseg.output.folder import RESULT_FILE, read_result
from renalseg.output.lesion_table import LESIONS_FILE, NAMES, Row, cells_of, find_rows
from renalseg.output.result import Result, is_current
from renalseg.output.study import REFUSED, StudyResult
from renalseg.pipeline import run_stages, segment_folder, timed, warn_of_weak
from renalseg.runtime import log
from renalseg.runtime.privacy import reason_of
from renalseg.runtime.progress import bar_wanted
from renalseg.settings import Settings
from renalseg.volumes.files import is_volume, stem_of


@dataclass(frozen=True)
class Ended:
    """How a folder ended.

    Attributes:
        study: The folder, or the volume's file.
        result: What was found and written, if it was.
        error: What was raised otherwise.
        seconds: From the end of the folder before to the end of this one.
        uids: StudyInstanceUIDs of its studies, as far as it came.
        settings: What ran.
    """

    study: Path
    result: Result | None
    error: Exception | None
    seconds: float
    uids: tuple[str, ...] = ()
    settings: Settings | None = None

    @property
    def exit_code(self) -> int:
        """What a run of this folder alone would have ended with."""
        return 0 if self.error is None else exit_code_for(self.error)

    @property
    def summary(self) -> str:
        """What was found, or why nothing was."""
        if self.result is not None:
            return "; ".join(map(_summary, self.result.studies)) or "no CT to segment"
        return "" if self.error is None else " ".join(reason_of(self.error).split())

    def rows(self) -> list[dict[str, object]]:
        """The folder's lines in the table of an archive, one for each of its studies."""
        if self.result is None or not self.result.studies:
            return [self._row(name_of(self.study), None, self.summary)]
        studies = self.result.studies
        names = study_names(name_of(self.study), [study.study for study in studies])
        return [self._row(name, study, "") for name, study in zip(names, studies, strict=True)]

    def lesions(self) -> list[Row]:
        """The folder's lines in the table of lesions."""
        return [] if self.result is None else find_rows(self.result.content(), name_of(self.study))

    def _row(self, name: str, study: StudyResult | None, message: str) -> dict[str, object]:
        refused = study is None or study.finding == REFUSED
        volumes = {
            kind: sum(each.volume_ml for each in study.segments if each.kind == kind)
            for kind in (KIDNEY, TUMOR, CYST)
            if study is not None and not refused
        }
        values = (
            name,
            EXIT_REFUSED if study is not None and refused else self.exit_code,
            study.finding if study is not None else "",
            *(f"{volumes[kind]:.1f}" if volumes else "" for kind in (KIDNEY, TUMOR, CYST)),
            *_review(study),
            "" if self.settings is None else self.settings.choice.algorithm,
            "" if self.settings is None else self.settings.choice.fingerprint,
            f"{self.seconds:.2f}",
            message or _message(study),
        )
        return dict(zip(COLUMNS, values, strict=True))


Engine = Callable[[Sequence[Path], Path, Settings], Generator[Ended]]
"""Segments studies into folders below another and gives how each ended, as soon as it did."""


def _review(study: StudyResult | None) -> tuple[object, str, object]:
    """How many reasons there are to look at a study, which, and its least probable lesion."""
    if study is None or study.finding == REFUSED:
        return "", "", ""
    known = [each.confidence.probability for each in study.segments if each.confidence is not None]
    least = min((each for each in known if each is not None), default="")
    return len(study.review), " ".join(study.review), least


def _message(study: StudyResult | None) -> str:
    """Why a study was refused, or which of its volumes are lower bounds."""
    if study is None:
        return ""
    return str(study.reason) if study.finding == REFUSED else cut_off(study.segments) or ""


def _summary(study: StudyResult) -> str:
    return study.finding if study.reason is None else f"{study.finding}: {study.reason}"


def find_studies(
    root: Path, out_root: Path, settings: Settings | None = None, *, again: bool = False
) -> list[Path]:
    """The folders and volumes in `root`, in order of their names: each is a study.

    Args:
        root: Folder of studies.
        out_root: Folder of results; a study whose result is there is left out.
        settings: What runs; the result of another method, version or set of files counts as none.
            By default any result counts.
        again: Leave none out.

    Raises:
        InputError: There is no such folder, it holds none, or two would have the same results.
    """
    if not root.is_dir():
        raise InputError(f"Expected a folder of studies, found no folder at {root}")
    studies = sorted(path for path in root.iterdir() if path.is_dir() or _is_volume(path))
    if not studies:
        raise InputError(f"Expected a folder or a volume for each study in {root}, found none")
    names = Counter(map(name_of, studies))
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise InputError(
            f"Expected a name of its own for each study in {root}, found several that are called "
            f"{some_of(twice, joint=', ')}"
        )
    return [
        study
        for study in studies
        if again or not _is_done(study, out_root / name_of(study), settings)
    ]


def name_of(study: Path) -> str:
    """The name of a study: that of its folder, or of its volume without the suffix."""
    return stem_of(study) if study.is_file() else study.name


def _is_volume(path: Path) -> bool:
    return is_volume(path) and path.is_file()


def _is_done(study: Path, out_dir: Path, settings: Settings | None) -> bool:
    """Whether a result of these files is there; tells from their names and sizes alone."""
    if settings is None:
        return (out_dir / RESULT_FILE).is_file()
    try:
        return is_current(read_result(out_dir), settings, list_files(study).digest)
    except InputError:
        return False


def in_this_process(
    studies: Sequence[Path], out_root: Path, settings: Settings
) -> Generator[Ended]:
    """Loads the models and segments studies with them; the arguments are those of `segment_all`."""
    with Models(settings.choice) as models:
        yield from segment_all(studies, out_root, models, settings)


def segment_archive(
    root: Path,
    out_root: Path,
    settings: Settings,
    *,
    again: bool = False,
    engine: Engine = in_this_process,
) -> list[Ended]:
    """Segments the studies of a folder, shows how far it is, and keeps a table of how they ended.

    Args:
        root: Folder of studies, a folder or a volume each; only read.
        out_root: Gets a folder of results for each study, and `SUMMARY_FILE` and `LESIONS_FILE`, in
            which a later call replaces the lines of what it does. A study is left out where the
            result of its files by these settings is there.
        settings: What runs.
        again: Do all studies.
        engine: Who segments the studies; the table is kept here.

    Raises:
        InputError: There are no studies.
        ConfigError: A bundle is missing or broken.
    """
    studies = find_studies(root, out_root, settings, again=again)
    outcomes: list[Ended] = []
    if not studies:
        return outcomes
    warn_of_weak(settings)
    out_root.mkdir(parents=True, exist_ok=True)
    bar = tqdm(total=len(studies), unit="study", disable=not bar_wanted())
    with bar, closing(engine(studies, out_root, settings)) as ended:
        for outcome in ended:
            outcomes.append(outcome)
            name = name_of(outcome.study)
            put_rows(out_root / SUMMARY_FILE, name, outcome.rows())
            put_rows(out_root / LESIONS_FILE, name, map(cells_of, outcome.lesions()), NAMES)
            with bar.external_write_mode():
                _tell(outcome)
            bar.update()
    return outcomes


def _tell(outcome: Ended) -> None:
    for uid in outcome.uids or (None,):
        with log.thread_about_study(uid):
            log.note(
                "study ended",
                "error" if outcome.error else "info",
                message=f"{outcome.study}: {outcome.summary}",
                exit_code=outcome.exit_code,
                seconds=round(outcome.seconds, 3),
            )
    if not log.in_json():
        log.say(f"{name_of(outcome.study)}: {outcome.summary} ({outcome.seconds:.1f} s)")


def segment_all(
    studies: Sequence[Path], out_root: Path, models: Models, settings: Settings
) -> Iterator[Ended]:
    """Segments studies one by one; one that fails does not stop the others.

    At most two studies are in memory: the one that is segmented, and the one that is read.

    Args:
        studies: Folders with the DICOM files of a study each, or volumes; only read.
        out_root: Gets a folder with the results of each study, under its name.
        models: What runs; they may still be compiled.
        settings: What is read and written.

    Yields:
        How each study ended, in order, as soon as it did.

    Raises:
        ConfigError: A bundle is missing or broken.
    """
    # Once around all: the setting is the process's, and reading and writing go on side by side.
    with disable_value_validation(), ThreadPoolExecutor(1, "reader") as reader:
        start = time.perf_counter()
        readings = _ahead(reader, _read_all(studies, settings))
        for folder, group in groupby(readings, key=lambda reading: reading.folder):
            result: Result | None = None
            error: Exception | None = None
            uids: list[str] = []
            try:
                result = _segment(_noted(group, uids), out_root / name_of(folder), models, settings)
            except Exception as raised:
                models.check()  # what no study can do without ends them all
                error = raised
            now = time.perf_counter()
            yield Ended(folder, result, error, now - start, tuple(uids), settings)
            start = now


def run_archive(root: str | Path, out_root: str | Path, **choices: Any) -> None:
    """Segments the studies of a folder, for ``bundles/methods/run/inference.yaml``.

    Args:
        root: As `segment_archive` takes it.
        out_root: The same.
        choices: Arguments of `Settings.resolve`.

    Raises:
        RenalSegError: A study failed; the others are done. It has the exit code of `worst`.
    """
    ended = segment_archive(Path(root), Path(out_root), Settings.resolve(**choices))
    failed = [each for each in ended if each.exit_code]
    if failed:
        said = some_of(f"{name_of(each.study)}: {each.summary}" for each in failed)
        error = RenalSegError(
            f"{len(failed)} of {plural(len(ended), 'study', 'studies')} could not be segmented: "
            f"{said}; see {Path(out_root) / SUMMARY_FILE}"
        )
        error.exit_code = worst([each.exit_code for each in failed])
        raise error


def worst(codes: Sequence[int]) -> int:
    """The exit code of several studies: a fault before what can be tried again before a refusal."""
    return next((code for code in (EXIT_FAULT, EXIT_RETRYABLE, EXIT_REFUSED) if code in codes), 0)


@dataclass(frozen=True)
class _Reading:
    """A study that was read, or a folder that has none, or why either failed."""

    folder: Path
    outcome: AnyFolder | None = None
    study: AnyStudy | None = None
    series: CT | None = None
    seconds: float = 0.0
    error: Exception | None = None


def _read_all(folders: Iterable[Path], settings: Settings) -> Iterator[_Reading]:
    """Reads study after study; lines of the log name the study that is read, not the one before."""
    with log.thread_about_study(None):
        yield from _read_each(folders, settings)


def _read_each(folders: Iterable[Path], settings: Settings) -> Iterator[_Reading]:
    for folder in folders:
        start = time.perf_counter()
        try:
            outcome = intake.look_through(
                folder, allow_gaps=settings.allow_gaps, wanted=settings.series
            )
        except Exception as error:  # raised where it is asked for
            yield _Reading(folder, error=error)
            continue
        if not outcome.studies:
            yield _Reading(folder, outcome)
        for study in outcome.studies:
            series, failed = None, None
            try:
                with log.thread_about_study(study.plan.study):
                    series = read_study(study)
            except Exception as error:
                failed = error
            seconds, start = time.perf_counter() - start, time.perf_counter()
            yield _Reading(folder, outcome, study, series, seconds, failed)


def _noted(readings: Iterator[_Reading], uids: list[str]) -> Iterator[_Reading]:
    """Keeps the UID of each study that comes by."""
    for reading in readings:
        if reading.study is not None:
            uids.append(reading.study.plan.study)
        yield reading


def _ahead(reader: ThreadPoolExecutor, readings: Iterator[_Reading]) -> Iterator[_Reading]:
    """Reads one more in another thread while the last one is worked on."""
    coming = reader.submit(next, readings, None)
    while (reading := coming.result()) is not None:
        coming = reader.submit(next, readings, None)
        yield reading


def _segment(
    readings: Iterator[_Reading], out_dir: Path, models: Models, settings: Settings
) -> Result:
    """Segments the studies of one folder, which were read ahead."""
    first = next(readings)
    if first.outcome is None:
        raise first.error or AssertionError
    coming = chain((first,), readings)

    def read(study: AnyStudy, timings: dict[str, float]) -> CT:
        reading = next(coming)
        if reading.series is None:
            raise reading.error or AssertionError
        timings["read"] = reading.seconds
        return reading.series

    segment = run_stages(models, settings, read=read, watch=timed)
    return segment_folder(first.outcome, out_dir, settings, segment)
