"""Find the CT slices of a folder, and count what else lies there.

Only headers are read here; the pixels of the series that is processed are read later, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.misc import is_dicom
from pydicom.uid import UID, CTImageStorage, MediaStorageDirectoryStorage

from renalseg.dicom.tags import Instance
from renalseg.errors import InputError


@dataclass(frozen=True)
class Scan:
    """What a folder holds.

    Attributes:
        instances: The CT slices, without localizers, in the order of their paths.
        skipped: Number of other files by what they are.
    """

    instances: tuple[Instance, ...]
    skipped: Mapping[str, int]


def scan_folder(folder: Path) -> Scan:
    """Read the headers of all files of a folder, at any depth.

    Args:
        folder: Folder to look into.

    Returns:
        The CT slices and the counts of everything else.

    Raises:
        InputError: If there is no such folder, a DICOM file is damaged, no file is a CT slice, or
            the files belong to several patients.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder of DICOM files, found no folder at {folder}")
    instances: list[Instance] = []
    skipped: Counter[str] = Counter()
    patients: set[str] = set()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        header = _read_header(path)
        if header is None:
            skipped["not DICOM"] += 1
            continue
        patients.add(str(header.get("PatientID") or "").strip())
        reason = _reason_to_skip(path, header)
        if reason is None:
            instances.append(Instance(path, header))
        else:
            skipped[reason] += 1

    # A file without an ID may be a stripped copy; only two different IDs prove two patients.
    patients.discard("")
    if len(patients) > 1:
        raise InputError(
            f"expected one patient, found {len(patients)} different PatientID values in {folder}"
        )
    if not instances:
        found = (
            ", ".join(f"{count} x {reason}" for reason, count in sorted(skipped.items()))
            or "no files"
        )
        raise InputError(f"expected a CT series, found none in {folder} ({found})")
    return Scan(tuple(instances), dict(sorted(skipped.items())))


def _read_header(path: Path) -> Dataset | None:
    """Read what precedes the pixels, or give None for a file that is not DICOM."""
    try:
        if not is_dicom(path):
            return None
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except PermissionError as exc:
        raise InputError(f"{path}: no permission to read the file") from exc
    except OSError:
        raise
    except Exception as exc:
        # pydicom lets errors of many kinds escape from a damaged file; each means the same here.
        raise InputError(
            f"{path}: the file is damaged, its header cannot be read ({type(exc).__name__})"
        ) from exc
    _drop_bulk(header)
    return header


def _drop_bulk(header: Dataset) -> None:
    """Drop private elements and overlays: they may be huge, and must never reach a result."""
    bulk = [tag for tag in list(header.keys()) if tag.is_private or tag.group >= 0x5000]
    for tag in bulk:
        del header[tag]


def _reason_to_skip(path: Path, header: Dataset) -> str | None:
    """Say what a file is if it is no CT slice; None for a CT slice."""
    meta = getattr(header, "file_meta", None) or Dataset()
    sop_class = UID(str(header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or ""))
    if not sop_class:
        raise InputError(f"{path}: the file is damaged, it has no SOP Class UID")
    if sop_class == MediaStorageDirectoryStorage:
        return "DICOMDIR"
    if sop_class != CTImageStorage:
        return sop_class.name
    modality = str(header.get("Modality") or "CT")
    if modality != "CT":
        return f"modality {modality}"
    image_type = header.get("ImageType") or []
    return "localizer" if "LOCALIZER" in image_type else None
