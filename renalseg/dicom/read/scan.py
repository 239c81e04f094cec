"""Find the CT slices of a folder, and account for all other files.

Only headers are read here; the pixels of the chosen series are read later, once.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, MediaStorageDirectoryStorage

from renalseg.dicom.read.enhanced import MULTI_FRAME, expand
from renalseg.dicom.read.files import MAX_FILES, NO_PERMISSION, TooManyError, list_files
from renalseg.dicom.read.header import Header, read_header
from renalseg.dicom.read.packed import NIFTI, kind_of
from renalseg.dicom.read.patients import Person, check_one_patient, person_of
from renalseg.dicom.read.pixels import slice_bytes
from renalseg.dicom.tags import Instance, describe, is_uid
from renalseg.errors import InputError

Progress = Callable[[int, int], None]
Account = tuple[tuple[Path, str], ...]

NOT_DICOM = "not DICOM"
LOCALIZER = "localizer"
_CLOSED = ", not opened"
# They name instances, series and files in every result.
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_CODE_STRING = 16  # characters that a DICOM CS value holds
# Values of ImageType that tell pictures of numbers, and projections through many slices.
_PICTURES = frozenset({"SCREEN SAVE", "SCREENSAVE", "DOSE_INFO", "DOSE", "REPORT", "PROTOCOL"})
_PROJECTIONS = frozenset({"MIP", "MINIP", "MIN_IP", "PROJECTION IMAGE"})


@dataclass(frozen=True)
class Scan:
    """Content of a folder.

    Attributes:
        folder: The folder.
        instances: The CT slices, without localizers, in the order of their paths.
        skipped: Every file that needs no processing, with its kind.
        refused: Every file that cannot be read or assigned to a series, with its fault.
        digest: Of the names and sizes of all files, see `list_files`.
    """

    folder: Path
    instances: tuple[Instance, ...]
    skipped: Account
    refused: Account
    digest: str = ""


def scan_folder(folder: Path, progress: Progress | None = None) -> Scan:
    """Read the headers of all files of a folder, at any depth.

    Args:
        folder: Folder to look into, or a single file.
        progress: Called after each file with the number of files looked at and their total.

    Returns:
        The CT slices, and an account of everything else.

    Raises:
        InputError: If there is no such folder, no DICOM file in it, or the files belong to several
            patients.
    """
    listing = list_files(folder)
    instances: list[Instance] = []
    skipped, refused = list(listing.skipped), list(listing.refused)
    people: set[Person] = set()
    # Validation messages of pydicom quote values, which may name a patient.
    with disable_value_validation():
        for done, path in enumerate(listing.files, start=1):
            try:
                header = read_header(path)
                if header is None:
                    skipped.append((path, _not_dicom(path)))
                else:
                    people.add(person_of(path, header.dataset))
                    slices, reason = _slices(path, header)
                    instances += slices
                    _check_count(folder, len(instances))
                    if reason:
                        skipped.append((path, reason))
            except TooManyError:
                raise
            except InputError as error:
                refused.append((path, str(error).removeprefix(f"{path}: ")))
            except PermissionError:
                refused.append((path, NO_PERMISSION))
            except OSError as error:
                if error.errno == errno.ENOMEM:
                    raise
                refused.append((path, f"cannot be read: {error.strerror or error}"))
            except MemoryError:
                raise
            except Exception as error:
                # Values are parsed late, with errors of many kinds; each means damage.
                refused.append((path, f"the file is damaged ({type(error).__name__})"))
            if progress is not None:
                progress(done, len(listing.files))
    check_one_patient(folder, people)
    if not instances and not refused and not people:
        packed = any(reason.endswith(_CLOSED) for _, reason in skipped)
        hint = ": give the archive itself as the input, or unpack it" if packed else ""
        raise InputError(f"expected a CT series, found none in {folder} ({found(skipped)}){hint}")
    return Scan(
        folder if folder.is_dir() else folder.parent,
        tuple(instances),
        tuple(sorted(skipped)),
        tuple(sorted(refused)),
        listing.digest,
    )


def _check_count(folder: Path, slices: int) -> None:
    """Refuse multi-frame files that hold more headers than so many files may."""
    if slices > MAX_FILES:
        raise TooManyError(f"expected at most {MAX_FILES:,} CT slices in {folder}, found more")


def found(account: list[tuple[Path, str]] | Account) -> str:
    """Count what was found, for a message, such as "2 x localizer, 1 x not DICOM"."""
    counts = Counter(reason for _, reason in account)
    return ", ".join(f"{n} x {reason}" for reason, n in sorted(counts.items())) or "no files"


def _not_dicom(path: Path) -> str:
    """Say what a file is that is no DICOM, as far as that tells what to do with it."""
    kind = kind_of(path)
    return NOT_DICOM if kind is None else kind if kind == NIFTI else f"{kind}{_CLOSED}"


def _slices(path: Path, header: Header) -> tuple[list[Instance], str | None]:
    """Give the slices that a file holds, or what it is if it holds none."""
    instance = Instance(path, header.dataset, pixels=header.pixels)
    sop_class = _sop_class(instance)
    if sop_class == MediaStorageDirectoryStorage:
        return [], "DICOMDIR"
    if sop_class not in (CTImageStorage, *MULTI_FRAME):
        return [], sop_class.name
    reason = _reason_to_skip(instance)
    if reason is not None:
        return [], reason
    instance.text("SeriesInstanceUID")  # what has none belongs to no series
    for keyword in _UIDS:
        instance.check_uid(keyword)
    try:
        instance = replace(instance, frames=_frames(instance))
        instance = replace(instance, flaw=_flaw(instance, header))
        if sop_class not in MULTI_FRAME:
            return [instance], None
        frames = [frame for frame in expand(instance) if _reason_to_skip(frame) is None]
        return frames, None if frames else LOCALIZER
    except InputError as error:
        return [replace(instance, flaw=str(error))], None


def _frames(instance: Instance) -> int:
    """Number of frames as the header says, which is 1 where it says nothing."""
    if instance.value("NumberOfFrames") is None:
        return 1
    frames = int(instance.numbers("NumberOfFrames", 1)[0])
    if frames < 1 or (frames > 1 and "PerFrameFunctionalGroupsSequence" not in instance.header):
        raise InputError(
            f"{instance.path}: expected one frame, or functional groups for each, found {frames}"
        )
    return frames


def _sop_class(instance: Instance) -> UID:
    meta = getattr(instance.header, "file_meta", None) or Dataset()
    sop_class = UID(
        instance.optional("SOPClassUID") or str(meta.get("MediaStorageSOPClassUID") or "")
    )
    if not sop_class:
        raise InputError(f"{instance.path}: the file is damaged, it has no SOP Class UID")
    if not is_uid(sop_class):
        raise InputError(f"{instance.path}: the file is damaged, its SOP Class UID is not a UID")
    return sop_class


def _reason_to_skip(instance: Instance) -> str | None:
    """Say what a CT slice is if it is none to segment."""
    modality = instance.optional("Modality") or "CT"
    if modality != "CT":
        return f"modality {modality[:_CODE_STRING]}"
    image_type = set(instance.words("ImageType"))
    if "LOCALIZER" in image_type:
        return LOCALIZER
    if instance.value("SamplesPerPixel") not in (None, 1) or image_type & _PICTURES:
        return "picture of a screen"
    return "intensity projection" if image_type & _PROJECTIONS else None


def _flaw(instance: Instance, header: Header) -> str | None:
    """Say whether pixels are missing, as far as the header and the length of the file tell."""
    pixels = header.pixels
    if header.deflated:
        return None
    if pixels is None or pixels.there == 0:
        return (
            f"{instance.path}: {describe('PixelData')} is missing; "
            "the file is truncated or stripped"
        )
    if pixels.declared is None:
        return None
    expected = slice_bytes(instance) * instance.frames
    there = min(pixels.declared, pixels.there)
    if there < expected:
        return (
            f"{instance.path}: truncated pixel data, expected {expected:,} bytes, found {there:,}"
        )
    return None
