"""KiTS case 0 in three contrast phases: nothing was trained on it, and nothing chosen by it.

Its label is that of the arterial series. In the others each kidney moves with its label, see
`renalseg.findings.registration`, because the patient breathed in between.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor

from renalseg.cases import load_case, load_nifti
from renalseg.components import components
from renalseg.errors import InputError
from renalseg.findings.registration import align, carry
from tools.accuracy.suites.chain import chain_row, measure_chain, summarize_chain
from tools.accuracy.suites.suite import Labeled, Suite, require

_LABELED, _OTHERS = "arterial", ("late", "noncontrast")


def phases(data_dir: Path) -> Suite:
    """The three series, tumors included.

    Args:
        data_dir: Folder with ct/kits0: a DICOM folder for each series, and arterial_label.nii.gz.

    Raises:
        InputError: They are not there.
    """
    folder = data_dir / "ct" / "kits0"
    require(*(folder / name for name in (_LABELED, *_OTHERS)), _label_file(folder))
    cases = {f"KiTS case 0, {_LABELED}": partial(_labeled, folder)}
    cases |= {f"KiTS case 0, {name}": partial(_moved, folder, name) for name in _OTHERS}
    return Suite("phases", cases, measure_chain, chain_row, summarize_chain)


def _label_file(folder: Path) -> Path:
    return folder / f"{_LABELED}_label.nii.gz"


def _labeled(folder: Path) -> Labeled:
    """The series with the label that experts drew: (z, y, x), the uppermost slice first."""
    image = load_case(folder / _LABELED)
    stored = load_nifti(_label_file(folder), torch.uint8)[0].numpy().T
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("LPI"),
        nib.orientations.io_orientation(image.affine.numpy()),
    )
    label = np.ascontiguousarray(nib.orientations.apply_orientation(stored, turn))
    if label.shape != image.shape[1:]:
        raise InputError(f"Expected a label of shape {tuple(image.shape[1:])}, got {label.shape}")
    return Labeled(image, MetaTensor(torch.from_numpy(label)[None], affine=image.affine))


def _moved(folder: Path, name: str) -> Labeled:
    """Another series, each kidney with its label where registration finds it."""
    source, image = _labeled(folder), load_case(folder / name)
    label, affine = source.label[0].numpy(), source.image.affine.numpy()
    numbered, _ = components(label > 0)
    moved = np.zeros(image.shape[1:], np.uint8)
    for number in (1, 2):
        own = np.where(numbered == number, label, 0)
        alignment = align(source.image, own > 0, image)
        if alignment is None:
            raise InputError(f"Expected both kidneys of {_LABELED} in {name}, not found")
        moved = np.maximum(moved, carry(own, affine, alignment, image))
    return Labeled(image, MetaTensor(torch.from_numpy(moved)[None], affine=image.affine))
