"""From a folder, a file or an archive to what is planned for each of its studies.

A folder holds the DICOM files of a patient, or volumes in NIfTI, NRRD or MetaImage, each of which
is a study. Where there is any DICOM file, volumes are not looked at: they may be labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from renalseg.dicom.read.choose import make_plan
from renalseg.dicom.read.files import list_files
from renalseg.dicom.read.header import read_header
from renalseg.dicom.read.outcome import FolderOutcome, StudyOutcome
from renalseg.dicom.read.packed import unpacked
from renalseg.dicom.read.plan import Plan
from renalseg.dicom.read.scan import scan_folder
from renalseg.errors import InputError
from renalseg.intake.volumes import VolumeOutcome, VolumesOutcome, VolumesPlan, plan_volumes
from renalseg.volumes.files import is_volume

AnyPlan = Plan | VolumesPlan
AnyFolder = FolderOutcome | VolumesOutcome
AnyStudy = StudyOutcome | VolumeOutcome
Progress = Callable[[int, int], None]


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Provide the folder or file to read: a volume as it is, anything else as `unpacked` does."""
    if path.is_file() and is_volume(path):
        yield path
    else:
        with unpacked(path) as place:
            yield place


def name_of(source: Path) -> str:
    """Give the name of a folder, or of an archive without its suffix."""
    path = source.resolve()
    return path.stem if path.is_file() else path.name


def look_through(
    folder: Path,
    *,
    allow_gaps: bool = False,
    wanted: str | None = None,
    called: str | None = None,
    progress: Progress | None = None,
) -> AnyFolder:
    """Settle what is to be done with each study of a folder, from headers alone.

    Args:
        folder: Folder with the DICOM files of one patient or with volumes, or one file.
        allow_gaps: Whether DICOM slices may be missing away from the kidneys.
        wanted: The only DICOM series of each study that may be processed, see
            `renalseg.dicom.read.wanted.find_wanted`.
        called: What the folder is called, where it has been unpacked to another.
        progress: Called after each DICOM file with the number of files looked at and their total.

    Raises:
        InputError: There is neither, or DICOM files are of several patients.
    """
    listing = list_files(folder)
    if any(map(is_volume, listing.files)) and not any(map(_is_dicom, listing.files)):
        return VolumesOutcome(plan_volumes(folder, listing, called or folder.resolve().name))
    scan = scan_folder(folder, progress=progress)
    return FolderOutcome(make_plan(scan, allow_gaps=allow_gaps, wanted=wanted))


def _is_dicom(path: Path) -> bool:
    """Say whether a file is DICOM, though it may be damaged."""
    if is_volume(path):
        return False
    try:
        return read_header(path) is not None
    except InputError:
        return True
    except OSError:
        return False
