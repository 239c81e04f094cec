"""Reads predictions, labels and CTs of cases, on one grid."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor

from renalseg.cases import load_case
from renalseg.errors import InputError
from renalseg.evaluation.overlap import check_grids
from renalseg.evaluation.pairs import Pair
from renalseg.evaluation.predictions import KITS_FILE, SEG_SUFFIXES, file_in, is_result
from renalseg.grids import Grid
from renalseg.inference.bundle import empty_prediction
from renalseg.labels import CYST
from renalseg.volumes.files import FORMATS, KITS_IMAGE
from renalseg.volumes.tensors import load_volume

_NO_ORIGIN = (
    "The label has no origin, as those of KiTS: if it is of the series that was segmented, "
    "--ignore-origin matches both by shape, spacing and axes"
)


def read_pair(
    pair: Pair, ct: Path | None = None, *, ignore_origin: bool = False
) -> tuple[MetaTensor, MetaTensor]:
    """Reads prediction and label of a case, (1, X, Y, Z) uint8 each, on one grid.

    Args:
        pair: The files.
        ct: Of the case, if it is there; says where a SEG lies whose label has no origin.
        ignore_origin: Match a label that has no origin, or lies elsewhere, by shape, spacing and
            axes alone.

    Raises:
        InputError: A file cannot be read, or the grids differ.
    """
    label = read_labels(pair.label)
    has_origin = bool(np.asarray(label.affine)[:3, 3].any())
    if has_origin or not ignore_origin:
        try:
            return _on_one_grid(pair, label)
        except InputError as error:
            if not ignore_origin and not has_origin:
                raise InputError(f"{error}. {_NO_ORIGIN}") from error
            if not ignore_origin:
                raise
    if pair.pred is not None:
        label = _moved(label, _grid_of(pair.pred, ct))
    return _on_one_grid(pair, label)


def _on_one_grid(pair: Pair, label: MetaTensor) -> tuple[MetaTensor, MetaTensor]:
    pred = read_prediction(pair.pred, label)
    check_grids(pred, label, f"prediction and label of {pair.case}")
    return pred, label


def read_labels(path: Path) -> MetaTensor:
    """A label map (1, X, Y, Z) uint8: 0 background, 1 kidney, 2 tumor, 3 cyst.

    Args:
        path: NIfTI, NRRD or MetaImage.

    Raises:
        InputError: It cannot be read, or holds other values.
    """
    stored = load_volume(path, torch.int16)
    low, high = int(stored.min()), int(stored.max())
    if low < 0 or high > CYST:
        raise InputError(f"Expected values 0 to {CYST} in {path}, found {low} to {high}")
    return MetaTensor(stored.as_tensor().to(torch.uint8), affine=stored.affine)


def read_prediction(path: Path | None, label: MetaTensor) -> MetaTensor:
    """A prediction (1, X, Y, Z) uint8; that of a DICOM SEG comes on the grid of the label.

    A label map on the grid of the label, but with axes in another order or direction, as another
    converter made it, is turned.

    Args:
        path: Label map, DICOM SEG, or folder that a run has written of one study; one without
            segments says that no kidney was found, as None does.
        label: The label (1, X, Y, Z) that it will be compared with.

    Raises:
        InputError: It cannot be read, a SEG lies on another grid, or a folder has no result, or
            several.
    """
    if path is not None and is_result(path):
        path = file_in(path)
    if path is None:
        return empty_prediction(label)
    if not _is_seg(path):
        return _turned(read_labels(path), label)
    from renalseg.dicom.read.segmentation import read_seg

    values = torch.from_numpy(read_seg(path, Grid.of(label)))
    return MetaTensor(values[None], affine=label.affine)


def find_ct(pair: Pair, images: Path | None, *, alone: bool) -> Path | None:
    """Finds the CT of a case.

    Args:
        pair: The case; the CT may lie beside its label, as KiTS has it.
        images: Folder of CTs that are called as the labels: volumes, or folders with a DICOM
            series or a KiTS case.
        alone: Whether there is no other case, so that `images` may be the CT itself.
    """
    beside = pair.label.with_name(KITS_IMAGE + FORMATS["nifti"])
    if images is None:
        return beside if pair.label.name == KITS_FILE and beside.is_file() else None
    folder = images / pair.case
    named = [images / (pair.case + suffix) for suffix in (*FORMATS.values(), ".nii")]
    places = [folder / beside.name, *named, folder, *([images] if alone else [])]
    return next((path for path in places if path.exists()), None)


def read_ct(path: Path, label: MetaTensor) -> MetaTensor:
    """The CT of a case, (1, X, Y, Z) float32 on the grid of its label.

    Raises:
        InputError: It cannot be read, or lies on another grid.
    """
    ct = _turned(load_case(path), label)
    check_grids(ct, label, f"CT and label ({path})")
    return ct


def _is_seg(path: Path) -> bool:
    return path.name.endswith((*SEG_SUFFIXES, ".dcm"))


def _turned(pred: MetaTensor, label: MetaTensor) -> MetaTensor:
    """The same voxels with the axes of the label, as nearly as they can."""
    own, other = (np.asarray(each.affine, np.float64) for each in (pred, label))
    transform = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(own), nib.orientations.io_orientation(other)
    )
    values = nib.orientations.apply_orientation(pred[0].numpy(), transform)
    affine = own @ nib.orientations.inv_ornt_aff(transform, pred.shape[1:])
    turned = torch.from_numpy(np.ascontiguousarray(values))
    return MetaTensor(turned[None], affine=torch.from_numpy(affine))


def _grid_of(pred: Path, ct: Path | None) -> Grid:
    """Where the voxels of a prediction lie, as far as they have to fit those of a label."""
    path = file_in(pred) if is_result(pred) else pred
    if path is not None and not _is_seg(path):
        return Grid.of(read_labels(path))
    if ct is None:
        raise InputError(
            f"Expected the CT of {pred} beside a label without origin, found none: a SEG has no "
            "empty slices, so it does not say which slice is the first. Give the CT with --images, "
            "or label maps (--outputs nifti of a run)"
        )
    return Grid.of(load_case(ct))


def _moved(label: MetaTensor, grid: Grid) -> MetaTensor:
    """The label with its middle in the middle of a grid."""
    own = Grid.of(label)
    affine = own.affine.copy()
    affine[:3, 3] += _middle(grid) - _middle(own)
    return MetaTensor(label.as_tensor(), affine=torch.from_numpy(affine))


def _middle(grid: Grid) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(grid.affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2) + grid.affine[:3, 3])
