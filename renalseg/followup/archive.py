"""Comparisons within an archive: each result with the one before it of the same patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from renalseg.errors import RenalSegError
from renalseg.followup.results import compare_results
from renalseg.output.archive_table import study_names
from renalseg.output.comparison_files import JSON_FILE
from renalseg.output.earlier import header_of
from renalseg.output.folder import RESULT_FILE, read_result
from renalseg.output.stored import read_stored
from renalseg.output.study import REFUSED
from renalseg.runtime.progress import announce
from renalseg.volumes.files import is_volume, stem_of

FOLDER = "comparisons"


class _Result(NamedTuple):
    """A result in an archive.

    Attributes:
        date: StudyDate.
        name: Of the study in the tables.
        folder: Its folder.
        study: StudyInstanceUID.
    """

    date: str
    name: str
    folder: Path
    study: str


def compare_archive(root: Path, out_root: Path) -> list[Path]:
    """Compares each result of an archive with the one before it of the same patient.

    Patients are told apart by PatientID and IssuerOfPatientID; results without a PatientID, or of
    the same date, are not compared. What is up to date stays. A comparison that fails is announced
    and stops nothing.

    Args:
        root: Folder of studies; only read.
        out_root: Folder of results; the comparisons go to `FOLDER` in it, each to a folder of its
            own, and take tracking UIDs from the comparison before.

    Returns:
        The folders that were written.
    """
    written = []
    for results in _patients(out_root):
        last: Path | None = None
        for prior, now in pairwise(results):
            out_dir = out_root / FOLDER / f"{prior.name}--{now.name}".replace("/", "-")
            before = last if last is not None and (last / RESULT_FILE).is_file() else prior.folder
            last = out_dir
            if prior.date == now.date or _is_current(out_dir, before, now.folder):
                continue
            try:
                compare_results(
                    read_stored(before, _ct(root, prior), prior.study),
                    read_stored(now.folder, _ct(root, now), now.study),
                    out_dir,
                )
            except RenalSegError as error:
                announce(f"Warning: {prior.name} and {now.name} were not compared: {error}")
                last = None
            else:
                written.append(out_dir)
    return written


def _patients(out_root: Path) -> Iterator[list[_Result]]:
    """The results of each patient that has several, by date."""
    found = defaultdict(list)
    for path in sorted(out_root.glob(f"*/{RESULT_FILE}")):
        for person, result in _results(path.parent):
            found[person].append(result)
    return (sorted(results) for results in found.values() if len(results) > 1)


def _results(folder: Path) -> Iterator[tuple[tuple[str, str], _Result]]:
    """The results of a folder with PatientID and its issuer; those without one are left out."""
    try:
        entries: list[dict[str, Any]] = read_result(folder)["studies"]
    except RenalSegError:
        return
    names = study_names(folder.name, [entry["study"] for entry in entries])
    for name, entry in zip(names, entries, strict=True):
        files = [str(each) for each in entry["files"] if str(each).endswith(".dcm")]
        header = header_of(folder / Path(files[0]).name) if files else None
        if entry["finding"] == REFUSED or header is None:
            continue
        person, issuer, date = (
            str(header.get(keyword) or "").strip()
            for keyword in ("PatientID", "IssuerOfPatientID", "StudyDate")
        )
        if person and date:
            yield (person, issuer), _Result(date, name, folder, str(entry["study"]))


def _ct(root: Path, result: _Result) -> Path | None:
    """The CT of a result, if it is still in the archive."""
    folder = root / result.folder.name
    if folder.is_dir():
        return folder
    files = (path for path in root.iterdir() if path.is_file() and is_volume(path))
    return next((path for path in files if stem_of(path) == result.folder.name), None)


def _is_current(out_dir: Path, *sources: Path) -> bool:
    """Whether a comparison is newer than the results that it is of."""
    path = out_dir / JSON_FILE
    return path.is_file() and all(
        (source / RESULT_FILE).stat().st_mtime <= path.stat().st_mtime for source in sources
    )
