"""Predictions in files and folders: where each lies, and by which names its label may go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from renalseg.cases import SUFFIX
from renalseg.errors import InputError
from renalseg.output.folder import RESULT_FILE, read_result
from renalseg.output.label_maps import maps_of
from renalseg.output.study import REFUSED
from renalseg.volumes.files import is_volume, stem_of

KITS_FILE = f"segmentation{SUFFIX}"  # of a case's folder, in the layout of the KiTS repositories
SEG_SUFFIXES = (".seg.dcm", ".labelmap.dcm")


class Prediction(NamedTuple):
    """What was predicted for a case.

    Attributes:
        path: Label map, DICOM SEG, or folder that a run has written of one study; None where a run
            on several studies found nothing in this one.
        names: What its label may be called: the name of the file or folder, and UIDs.
        refused: Why a run refused the study; None if it did not.
    """

    path: Path | None
    names: tuple[str, ...]
    refused: str | None = None


def find_predictions(folder: Path) -> Iterator[Prediction]:
    """Finds the predictions in a folder, in the order of their names.

    Args:
        folder: Label maps, SEGs and folders that a run or an archive has written; or such a folder
            itself.
    """
    if is_result(folder):
        yield from _of_result(folder)
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if is_result(path):
            yield from _of_result(path)
        elif path.name.endswith(".dcm") and path.is_file():
            yield from _of_dicom(path)
        elif (case := case_of(path)) is not None:
            yield Prediction(file_of(path), (case,))


def is_result(path: Path) -> bool:
    """Returns whether a folder holds the result of a run."""
    return (path / RESULT_FILE).is_file()


def case_of(path: Path) -> str | None:
    """Returns the name of the case whose label map is a file or lies in a folder, if one does."""
    if path.is_dir():
        return path.name if (path / KITS_FILE).is_file() else None
    return stem_of(path) if is_volume(path) else None


def file_of(path: Path) -> Path:
    """Returns the label map of a case: the file itself, or that in a folder of KiTS."""
    nested = path / KITS_FILE
    return nested if nested.is_file() else path


def file_in(folder: Path) -> Path | None:
    """Returns what a run has written of its one study; None where it found nothing.

    Raises:
        InputError: The folder has no result, or several, or neither segmentation nor label map.
    """
    studies = read_result(folder)["studies"]
    done = [study for study in studies if study["finding"] != REFUSED]
    if len(done) != 1:
        refused = "".join(f"; refused: {s['reason']}" for s in studies if s["finding"] == REFUSED)
        raise InputError(
            f"Expected the result of one study in {folder}, found {len(done)}{refused}. "
            f"For several, give the {SEG_SUFFIXES[0]} of each, or a folder of labels"
        )
    return _written(folder, done[0])


def _of_result(folder: Path) -> Iterator[Prediction]:
    try:
        studies = read_result(folder)["studies"]
    except InputError:  # told when it is read
        yield Prediction(folder, (folder.name,))
        return
    if len(studies) == 1:
        yield Prediction(folder, (folder.name, *_names(studies[0])))
        return
    for study in studies:
        names = tuple(_names(study))
        if study["finding"] == REFUSED:
            yield Prediction(None, names, str(study.get("reason")))
            continue
        try:
            yield Prediction(_written(folder, study), names)
        except InputError as error:
            yield Prediction(None, names, str(error))


def _names(study: Mapping[str, Any]) -> Iterator[str]:
    for name in ("study", "series"):
        if study.get(name):
            yield str(study[name])


def _of_dicom(path: Path) -> Iterator[Prediction]:
    from renalseg.dicom.read.segmentation import source_uids

    suffix = next((each for each in SEG_SUFFIXES if path.name.endswith(each)), None)
    uids = source_uids(path)
    if suffix is not None or uids is not None:  # other objects, such as reports, are none
        stem = path.name.removesuffix(suffix or ".dcm")
        yield Prediction(path, (stem, *(uids or ())))


def _written(folder: Path, study: Mapping[str, Any]) -> Path | None:
    """The segmentation or label map of a study; None where nothing was found."""
    files = [*study["files"]]
    names = [name for end in SEG_SUFFIXES for name in files if name.endswith(end)]
    names += maps_of(study)
    if not names and study["segments"]:
        raise InputError(
            f"Expected a {SEG_SUFFIXES[0]} or a label map in {folder}, found none: run with seg, "
            "nifti, nrrd or mha in outputs"
        )
    return folder / names[0] if names else None
