"""What an output folder holds of an earlier run, and what a new result supersedes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from renalseg.dicom.read import CTSeries
from renalseg.errors import InputError
from renalseg.results.output import RESULT_FILE, read_result


@dataclass(frozen=True)
class Earlier:
    """The result of an earlier run on the same series.

    Attributes:
        supersedes: SOP Instance UIDs of the objects that a new result takes the place of: all of
            an earlier result from another input; of a result from the same input, those that it
            had superseded itself, so that a rerun says the same.
        report: UIDs of class, study, series and instance of the superseded report, if any.
        files: Names of all its files.
    """

    supersedes: tuple[str, ...] = ()
    report: Dataset | None = None
    files: tuple[str, ...] = ()


def find_earlier(folder: Path, series: CTSeries) -> Earlier:
    """Looks for an earlier result of a series.

    Args:
        folder: Output folder; it need not exist.
        series: What is to be written there.

    Returns:
        What was found; nothing where the folder holds no result of this series.
    """
    entry = _entry(folder, str(series.headers[0].SeriesInstanceUID))
    if entry is None:
        return Earlier()
    files = tuple(Path(name).name for name in entry.get("files", ()) if name != RESULT_FILE)
    objects = [found for name in files if (found := _uids(folder / name)) is not None]
    reports = [found for found in objects if found.get("Modality") == "SR"]
    if entry.get("input_hash") != series.input_hash:
        return Earlier(
            tuple(str(found.SOPInstanceUID) for found in objects),
            reports[0] if reports else None,
            files,
        )
    before = [item for report in reports for item in _predecessors(report)]
    return Earlier(tuple(entry.get("supersedes", ())), before[0] if before else None, files)


def remove_stale(folder: Path, earlier: Earlier, written: set[str]) -> None:
    """Removes the files of an earlier result that the new one has not replaced.

    Args:
        folder: Output folder, with the new result.
        earlier: What `find_earlier` found in it.
        written: Names of the new files.
    """
    for name in set(earlier.files) - written:
        if name.endswith(".dcm"):
            (folder / name).unlink(missing_ok=True)


def _entry(folder: Path, series: str) -> Mapping[str, Any] | None:
    """What result.json says about a series."""
    try:
        entries = read_result(folder)["studies"]
    except InputError:
        return None
    return next((entry for entry in entries if entry.get("series") == series), None)


def _uids(path: Path) -> Dataset | None:
    tags = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"]
    try:
        return dcmread(path, specific_tags=[*tags, "PredecessorDocumentsSequence"])
    except (OSError, InvalidDicomError):
        return None


def _predecessors(report: Dataset) -> list[Dataset]:
    found = []
    for study in report.get("PredecessorDocumentsSequence", ()):
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                one = Dataset()
                one.StudyInstanceUID = study.StudyInstanceUID
                one.SeriesInstanceUID = series.SeriesInstanceUID
                one.SOPClassUID = item.ReferencedSOPClassUID
                one.SOPInstanceUID = item.ReferencedSOPInstanceUID
                found.append(one)
    return found
