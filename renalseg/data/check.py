"""Finds missing, broken and unusual cases of a KiTS folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np

from renalseg.data.case_lists import IMAGE, LABEL, LabeledCase, case_folders, case_name
from renalseg.data.volumes import mismatch, open_nifti, read_hu, read_label, unknown_labels
from renalseg.errors import InputError
from renalseg.labels import KIDNEY, TUMOR

_PIXELS = (512, 512)
_THICK_MM = 5.0
_AXES = "IPL"  # how KiTS stores its volumes: from superior, anterior, right
_AIR_HU, _TISSUE_HU = -300, 0


class Finding(NamedTuple):
    """A finding about a case.

    Attributes:
        case: Its name.
        broken: Whether it must be fixed before training; otherwise it is only worth knowing.
        text: What was found, and what to do about it.
    """

    case: str
    broken: bool
    text: str


def check(
    root: Path, cases: Sequence[int] | None = None, *, voxels: bool = True, jobs: int | None = None
) -> Iterator[list[Finding]]:
    """Checks the cases of a folder and yields a list of findings for each.

    Args:
        root: Folder with the layout of KiTS.
        cases: Numbers of the expected cases; None for those that are there.
        voxels: Also read every voxel, a few seconds per case; otherwise only the headers.
        jobs: Parallel cases, up to 1 GB of memory each; None for one per processor, up to four.

    Raises:
        InputError: The folder has no case.
    """
    names = [f.name for f in case_folders(root)] if cases is None else list(map(case_name, cases))
    if not names:
        raise InputError(f"Expected folders case_00000 and so on in {root}, found none")
    with ThreadPoolExecutor(jobs or min(4, os.cpu_count() or 1), "check") as pool:
        yield from pool.map(lambda name: check_case(root / name, voxels=voxels), names)


def check_case(folder: Path, *, voxels: bool = True) -> list[Finding]:
    """Returns the findings of a case; none for an ordinary one.

    Args:
        folder: With imaging.nii.gz and segmentation.nii.gz.
        voxels: Also read every voxel.
    """
    case = LabeledCase(folder.name, folder / IMAGE, folder / LABEL)
    absent = [path.name for path in (case.image, case.label) if not path.is_file()]
    if absent:
        text = f"missing: {' and '.join(absent)}; `renalseg data kits19` fetches what is missing"
        return [Finding(case.name, True, text)]
    try:
        found = [*_of_headers(case), *(_of_voxels(case) if voxels else ())]
    except InputError as error:
        found = [(True, f"{error}; delete the file and fetch it again")]
    return [Finding(case.name, broken, text) for broken, text in found]


def _of_headers(case: LabeledCase) -> Iterator[tuple[bool, str]]:
    image, label = open_nifti(case.image), open_nifti(case.label)
    if differ := mismatch(image, label):
        yield True, differ
    axes = "".join(nib.aff2axcodes(image.affine))
    if axes != _AXES:
        yield False, f"axes run to {axes}, not to {_AXES} as KiTS has them; they are read correctly"
        return
    if image.shape[1:3] != _PIXELS:
        rows, columns = image.shape[1:3]
        yield (
            False,
            f"slices of {rows} x {columns} pixels, not 512 x 512; they are used as they are",
        )
    if (mm := nib.affines.voxel_sizes(image.affine)[0]) > _THICK_MM:
        yield False, f"slices {mm:g} mm apart"


def _of_voxels(case: LabeledCase) -> Iterator[tuple[bool, str]]:
    label = read_label(case.label)
    if unknown := unknown_labels(label):
        yield True, f"label values {unknown}, which have no meaning"
    present = np.bincount(label.ravel(order="K"), minlength=TUMOR + 1)
    if not present[KIDNEY] and not present[TUMOR]:
        yield True, "no kidney in the label"
    elif not present[TUMOR]:
        yield False, "no tumor in the label"
    del label
    image = read_hu(case.image)
    low, high = int(image.min()), int(image.max())
    if low > _AIR_HU or high < _TISSUE_HU:
        yield True, f"image values from {low} to {high} are not HU of a body in air"
