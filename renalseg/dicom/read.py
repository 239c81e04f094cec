"""Read the CT series of a folder as a volume in HU."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from monai.utils import SpaceKeys
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from renalseg.dicom.choose import choose_series
from renalseg.dicom.damage import damage_refused
from renalseg.dicom.grid import Grid, arrange
from renalseg.dicom.pixels import decode, fingerprint, write_hu
from renalseg.dicom.remarks import remarks
from renalseg.dicom.scan import scan_folder
from renalseg.dicom.tags import Instance
from renalseg.errors import InputError, RetryableError

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class CTSeries:
    """A CT series in memory.

    Attributes:
        image: HU (1, X, Y, Z) float32 with a float64 voxel-to-world affine in RAS mm. It is a view
            of memory laid out slice by slice, (Z, Y, X), so it is not contiguous.
        headers: Attributes of each slice in Z order, without pixels, private elements and overlays.
            Read only.
        input_hash: SHA-256 over the SOP Instance UIDs and stored pixels, independent of file names
            and compression.
        warnings: What is unusual about the input but was processed, for people.
        skipped: Number of files that are not part of the series, by what they are.
    """

    image: MetaTensor
    headers: tuple[Dataset, ...]
    input_hash: str
    warnings: tuple[str, ...]
    skipped: Mapping[str, int]


@damage_refused("the series cannot be read")
def read_series(folder: Path, *, progress: Progress | None = None) -> CTSeries:
    """Read the CT series that suits best among those in a folder, at any depth.

    Geometry comes from ImagePositionPatient, ImageOrientationPatient and PixelSpacing alone, HU
    from each slice's own rescale. The folder is only read. Memory: the float32 volume, the headers
    and one slice.

    Args:
        folder: Folder with the files of one patient and one study.
        progress: Called after each slice with the number of slices loaded and their total.

    Returns:
        The series.

    Raises:
        InputError: If the folder holds no CT series, or one that cannot be processed safely; the
            message says what was expected, what was found, and where.
        RetryableError: If memory ran out.
    """
    # Validation messages of pydicom quote values, which may name a patient.
    with disable_value_validation():
        scan = scan_folder(folder)
        skipped = dict(scan.skipped)
        instances, others = choose_series(scan.instances)
        if len(instances) < len(scan.instances):
            skipped["CT of another series"] = len(scan.instances) - len(instances)
        unique = _drop_duplicates(instances)
        if len(unique) < len(instances):
            skipped["duplicate"] = len(instances) - len(unique)
        grid = arrange(unique)
        volume, input_hash = _load(grid, progress)
        warnings = (*others, *grid.warnings, *remarks(grid))

    # (Z, Y, X) in memory, seen as (1, X, Y, Z): slices are written whole and nothing is copied.
    image = MetaTensor(
        torch.from_numpy(volume).permute(2, 1, 0)[None],
        affine=torch.from_numpy(grid.affine),
        meta={"space": SpaceKeys.RAS},
    )
    return CTSeries(
        image, tuple(instance.header for instance in grid.instances), input_hash, warnings, skipped
    )


def _drop_duplicates(instances: Sequence[Instance]) -> list[Instance]:
    """Keep one of several copies of a slice.

    Raises:
        InputError: If two files claim to be the same slice and differ.
    """
    kept: dict[str, Instance] = {}
    for instance in instances:
        first = kept.setdefault(instance.uid, instance)
        if first is not instance and not _same(first, instance):
            raise InputError(
                f"conflicting instances: {first.path} and {instance.path} differ and share "
                f"SOPInstanceUID {instance.uid}"
            )
    return list(kept.values())


def _same(first: Instance, second: Instance) -> bool:
    keywords = (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
    )
    if any(first.header.get(keyword) != second.header.get(keyword) for keyword in keywords):
        return False
    return np.array_equal(decode(first), decode(second))


def _load(grid: Grid, progress: Progress | None) -> tuple[npt.NDArray[np.float32], str]:
    """Decode all slices into one array (Z, Y, X) in HU, and hash them."""
    total = len(grid.instances)
    try:
        volume = np.empty(grid.shape[::-1], dtype=np.float32)
    except MemoryError as exc:
        raise RetryableError(
            f"out of memory: {total} slices need {4 * np.prod(grid.shape):,} bytes"
        ) from exc
    prints: dict[str, str] = {}
    for index, instance in enumerate(grid.instances):
        stored = decode(instance)
        write_hu(instance, stored, volume[index])
        prints[instance.uid] = fingerprint(stored)
        if progress is not None:
            progress(index + 1, total)
    text = "".join(f"{uid} {prints[uid]}\n" for uid in sorted(prints))
    return volume, hashlib.sha256(text.encode()).hexdigest()
