"""Earlier results in an output folder, and what a new result supersedes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from renalseg.dicom.read.series import CTSeries
from renalseg.errors import InputError
from renalseg.output import fhir, label_maps, meshes
from renalseg.output.folder import read_result
from renalseg.runtime.harmless import one_line

_READ = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"),
    *(
        "PredecessorDocumentsSequence",
        "PertinentOtherEvidenceSequence",
        "CurrentRequestedProcedureEvidenceSequence",
        "PatientID",
        "IssuerOfPatientID",
        "StudyDate",
    ),
    *("PatientBirthDate", "PatientSex"),
    *("PatientIdentityRemoved", "LongitudinalTemporalInformationModified"),
)
_SUFFIXES = (".dcm", fhir.SUFFIX, *label_maps.SUFFIXES, *meshes.SUFFIXES)


@dataclass(frozen=True)
class Earlier:
    """The result of an earlier run on the same study.

    Attributes:
        supersedes: SOP Instance UIDs of the objects that a new result takes the place of: all of
            an earlier result from another input; of a result from the same input, those that it
            had superseded itself, so that a rerun says the same.
        reports: UIDs of class, study, series and instance of the superseded report, or of that of
            an earlier study that was compared, if any, and of those that this one had taken up.
        evidence: The same of objects of an earlier study that were compared, and of segmentations
            that a person edited.
    """

    supersedes: tuple[str, ...] = ()
    reports: tuple[Dataset, ...] = ()
    evidence: tuple[Dataset, ...] = ()


def find_earlier(folder: Path, series: CTSeries) -> Earlier:
    """Looks for an earlier result of a study.

    Args:
        folder: Output folder; it need not exist.
        series: What is to be written there.

    Returns:
        The earlier result; empty if the folder holds none of this study.
    """
    entry = _entry(folder, str(series.headers[0].get("StudyInstanceUID", "")))
    if entry is None:
        return Earlier()
    files = _files(entry)
    objects = [found for name in files if (found := header_of(folder / name)) is not None]
    reports = [found for found in objects if found.get("Modality") == "SR"]
    if entry.get("input_hash") != series.input_hash:
        return Earlier(
            tuple(str(found.SOPInstanceUID) for found in objects),
            tuple(reports[:1]),
        )
    before = [item for report in reports for item in predecessors(report)]
    return Earlier(tuple(entry.get("supersedes", ())), tuple(before[:1]))


def files_of(folder: Path, studies: Collection[str]) -> frozenset[str]:
    """Names of the files that an earlier run lists for some studies."""
    entries = (entry for entry in _entries(folder) if entry.get("study") in studies)
    return frozenset(name for entry in entries for name in _files(entry))


def refuse_others(folder: Path, studies: Collection[str]) -> None:
    """Refuses an output folder that holds results of other studies.

    They would stay unlisted next to the new ones, and might be another patient's. This program must
    not remove them: nobody requested it, and they may be the only copy.

    Args:
        folder: Output folder; it need not exist.
        studies: StudyInstanceUIDs of what is to be written there.

    Raises:
        InputError: There is a result of another study.
    """
    there = {str(entry.get("study")) for entry in _entries(folder) if _files(entry)}
    others = sorted(there - set(studies))
    if others:
        raise InputError(
            f"Expected no results of other studies in the output folder {folder}, found those of "
            f"study {one_line(others[0])}; choose another folder, or empty this one"
        )


def _entry(folder: Path, study: str) -> Mapping[str, Any] | None:
    """Reads a study's entry in result.json."""
    return next((entry for entry in _entries(folder) if entry.get("study") == study), None)


def _entries(folder: Path) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = read_result(folder)["studies"]
    except InputError:
        return []
    return entries


def _files(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The files of an entry; never a path, whoever has written it."""
    names = (Path(str(name)).name for name in entry.get("files", ()))
    return tuple(name for name in names if name.endswith(_SUFFIXES))


def header_of(path: Path) -> Dataset | None:
    """Reads what names an object, its patient and its dates; None if it cannot be read."""
    try:
        return dcmread(path, specific_tags=list(_READ))
    except (OSError, InvalidDicomError):
        return None


def predecessors(report: Dataset) -> list[Dataset]:
    """UIDs of class, study, series and instance of the reports that one has taken up."""
    return _referenced(report, "PredecessorDocumentsSequence")


def evidence_of(report: Dataset) -> list[Dataset]:
    """The same of all objects that a report names as evidence."""
    study, other = "CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"
    return [*_referenced(report, study), *_referenced(report, other)]


def _referenced(report: Dataset, keyword: str) -> list[Dataset]:
    found = []
    for study in report.get(keyword, ()):
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                one = Dataset()
                one.StudyInstanceUID = study.StudyInstanceUID
                one.SeriesInstanceUID = series.SeriesInstanceUID
                one.SOPClassUID = item.ReferencedSOPClassUID
                one.SOPInstanceUID = item.ReferencedSOPInstanceUID
                found.append(one)
    return found
