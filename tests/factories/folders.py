"""Folders with several studies, series and phases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from renalseg.dicom.tags import derive_uid
from tests.factories.series import Written, edit, edit_all, write_case


def write_series(folder: Path, seed: int, study: str = "1.2.3", **values: object) -> Written:
    """Write a series of a study; values by DICOM keyword replace what its slices say."""
    slices = values.pop("slices", 22)
    written = write_case(folder, slices=slices, seed=seed)  # type: ignore[arg-type]

    def change(ds: Dataset) -> None:
        ds.StudyInstanceUID = study
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    edit_all(written.paths, change)
    return written


def write_phases(
    folder: Path, tell_apart: Callable[[Dataset, int, int], object], phases: int = 2
) -> list[Written]:
    """Write several phases of the same slices under one SeriesInstanceUID.

    Args:
        folder: Gets a folder for each phase.
        tell_apart: Called for each slice with its number from 0 and that of its phase, from 0.
        phases: How many.
    """
    written = []
    for phase in range(phases):
        series = write_case(folder / str(phase))
        for index, path in enumerate(series.paths):

            def change(ds: Dataset, index: int = index, phase: int = phase) -> None:
                ds.SOPInstanceUID = rename(ds.SOPInstanceUID, phase)
                ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
                ds.RescaleIntercept = str(-1024 + 10 * phase)
                tell_apart(ds, index, phase)

            edit(path, change)
        written.append(series)
    return written


def rename(uid: str, copy: int) -> UID:
    """Give another UID that is the same at each call."""
    return derive_uid("copy", uid, str(copy))
