"""C4KC-KiTS as the Cancer Imaging Archive has it, in the layout of KiTS.

The archive holds the patients of KiTS19 as DICOM: `KiTS-00000/<study>/<series>/*.dcm`, several
phases each, and a SEG with the labels of one of them, under CC BY 3.0.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pydicom
import torch
from monai.data import MetaTensor
from pydicom.errors import InvalidDicomError

from renalseg.cases import save_nifti
from renalseg.data.case_lists import IMAGE, LABEL, case_name
from renalseg.data.volumes import LOWEST_HU
from renalseg.dicom.damage import damage_refused
from renalseg.dicom.read.segmentation import read_saved, segment_texts
from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.errors import InputError
from renalseg.labels import KIDNEY, kind_of
from renalseg.runtime.staging import remove_abandoned, staging, sync_all

_PATIENT = re.compile(r"KiTS-(\d{5})")
_SEG = "SEG"
_MOST_FILES = 4  # of a series that may be a SEG: it is one file, a CT has many


class Converted(NamedTuple):
    """What became of a patient.

    Attributes:
        case: Name of the case.
        fault: Why it could not be converted; None where the case is there.
        kept: Whether it was there before.
    """

    case: str
    fault: str | None = None
    kept: bool = False


def find_patients(root: Path, numbers: Collection[int] | None = None) -> dict[int, Path]:
    """Finds the folders of patients, at any depth, by their numbers.

    Args:
        root: Where the archive's retriever has put the collection.
        numbers: Those that are wanted; None: all.

    Raises:
        InputError: There are none.
    """
    found = {}
    for path in sorted(root.rglob("KiTS-*")) if root.is_dir() else ():
        name = _PATIENT.fullmatch(path.name)
        if name and path.is_dir() and (numbers is None or int(name[1]) in numbers):
            found[int(name[1])] = path
    if not found:
        raise InputError(
            f"Expected folders KiTS-00000 and so on of C4KC-KiTS in {root}, found none"
        )
    return dict(sorted(found.items()))


def convert_all(patients: dict[int, Path], out: Path) -> Iterator[Converted]:
    """Converts patients one after another; a fault of one does not stop the others.

    Args:
        patients: Folders by number.
        out: Gets `case_00000/imaging.nii.gz` and `segmentation.nii.gz`, and so on, both or neither.
            What is there already is kept.
    """
    out.mkdir(parents=True, exist_ok=True)
    remove_abandoned(out)
    for number, folder in patients.items():
        case = case_name(number)
        if all((out / case / name).is_file() for name in (IMAGE, LABEL)):
            yield Converted(case, kept=True)
            continue
        try:
            convert(folder, out / case)
        except InputError as error:
            yield Converted(case, fault=str(error))
        else:
            yield Converted(case)


def convert(patient: Path, case: Path) -> None:
    """Writes the series that a patient's SEG labels, and the labels.

    Args:
        patient: `KiTS-00000`, with studies, series and files below it.
        case: The new folder.

    Raises:
        InputError: There is not exactly one SEG, or it and its series cannot be read.
    """
    segs = [path for path in _single_files(patient) if _modality(path) == _SEG]
    if len(segs) != 1:
        raise InputError(f"Expected one DICOM SEG in {patient}, found {len(segs)}")
    (seg,) = segs
    series = read_series(seg.parent.parent, wanted=_source_of(seg))
    labels = _labels(seg, series)
    hu = series.image.as_tensor().clamp(LOWEST_HU, 32767).round().to(torch.int16)
    with staging(case.parent) as partial:
        save_nifti(MetaTensor(hu, affine=series.image.affine), partial.files / IMAGE)
        values = torch.from_numpy(labels)[None]
        save_nifti(MetaTensor(values, affine=series.image.affine), partial.files / LABEL)
        sync_all(partial.files)
        if case.is_dir():
            raise InputError(f"Expected {IMAGE} and {LABEL} or no folder at {case}: remove it")
        partial.files.rename(case)


def _single_files(patient: Path) -> Iterator[Path]:
    """The files of the series that have few."""
    for folder in sorted({path.parent for path in patient.rglob("*.dcm")}):
        files = sorted(folder.glob("*.dcm"))
        yield from files if len(files) <= _MOST_FILES else ()


def _header(path: Path, *keywords: str) -> pydicom.Dataset:
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
    except (OSError, InvalidDicomError) as error:
        raise InputError(f"Expected a DICOM file, cannot read {path}") from error


def _modality(path: Path) -> str:
    return str(_header(path, "Modality").get("Modality", ""))


@damage_refused("the header of a SEG cannot be read")
def _source_of(seg: Path) -> str:
    """The SeriesInstanceUID of the series that a SEG labels."""
    named = _header(seg, "ReferencedSeriesSequence").get("ReferencedSeriesSequence") or ()
    uids = {str(item.get("SeriesInstanceUID", "")) for item in named} - {""}
    if len(uids) != 1:
        raise InputError(f"Expected {seg} to name one series that it labels, found {len(uids)}")
    return uids.pop()


@damage_refused("the segments of a SEG cannot be read")
def _labels(seg: Path, series: CTSeries) -> npt.NDArray[np.uint8]:
    """Labels (X, Y, Z) on the grid of the series."""
    texts = segment_texts(seg)
    kinds = np.zeros(256, np.uint8)
    for number, text in texts.items():
        kind = kind_of(text)
        if kind is None:
            raise InputError(f"Expected segments of kidney, mass or cyst in {seg}, found {text!r}")
        kinds[number] = kind
    labels = read_saved(seg, series, kinds)
    if KIDNEY not in labels:
        raise InputError(f"Expected a kidney in {seg}, found none")
    return np.ascontiguousarray(labels)
