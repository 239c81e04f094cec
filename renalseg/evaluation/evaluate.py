"""Reads predictions and labels, scores them, and says and saves the result."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor

from renalseg.cases import load_nifti
from renalseg.errors import InputError
from renalseg.evaluation.case_score import CaseScore, score_case
from renalseg.evaluation.pairs import SEG_SUFFIX, Pair, find_pairs, is_result
from renalseg.evaluation.score_files import write_scores
from renalseg.evaluation.summary import Summary, summarize
from renalseg.evaluation.terminal import print_summary
from renalseg.inference.bundle import empty_prediction
from renalseg.labels import CYST
from renalseg.output.folder import read_result
from renalseg.output.label_maps import SUFFIXES, mask_suffix
from renalseg.output.study import REFUSED
from renalseg.runtime.progress import steps
from renalseg.volumes.files import open_volume
from renalseg.volumes.stored import check_affine

PLOT_FILE = "summary.png"


def evaluate(pred: Path, label: Path, out_dir: Path | None = None) -> Summary:
    """Scores predictions, prints the summary, and saves all if asked to.

    Args:
        pred: A prediction or a folder of them, as `find_pairs` takes it.
        label: A label or a folder of them.
        out_dir: Gets cases.csv, summary.json and summary.png.

    Returns:
        The summary.

    Raises:
        InputError: A file is missing, cannot be read, or is on another grid than its label.
    """
    pairs = find_pairs(pred, label)
    scores = []
    with steps("case") as progress:
        for done, pair in enumerate(pairs):
            progress(done, len(pairs))
            scores.append(score_pair(pair))
    summary = summarize(scores)
    if out_dir is not None:
        from renalseg.evaluation.plot import save_summary

        write_scores(out_dir, scores, summary)
        save_summary(scores, summary, out_dir / PLOT_FILE)
    print_summary(summary, scores[0] if len(scores) == 1 else None)
    return summary


def score_pair(pair: Pair) -> CaseScore:
    """Reads and scores one case.

    Raises:
        InputError: A file cannot be read, or the grids differ.
    """
    label = read_labels(pair.label)
    return score_case(pair.case, read_prediction(pair.pred, label), label)


def read_labels(path: Path) -> MetaTensor:
    """A label map (1, X, Y, Z) uint8: 0 background, 1 kidney, 2 tumor, 3 cyst.

    Args:
        path: NIfTI, NRRD or MetaImage.

    Raises:
        InputError: It cannot be read, or holds other values.
    """
    stored = _load(path)
    low, high = int(stored.min()), int(stored.max())
    if low < 0 or high > CYST:
        raise InputError(f"Expected values 0 to {CYST} in {path}, found {low} to {high}")
    return MetaTensor(stored.as_tensor().to(torch.uint8), affine=stored.affine)


def _load(path: Path) -> MetaTensor:
    if path.name.lower().endswith((".nii.gz", ".nii")):
        return load_nifti(path, torch.int16)
    stored = open_volume(path)
    if len(stored.shape) != 3:
        raise InputError(f"Expected a volume with 3 axes, found shape {stored.shape} in {path}")
    check_affine(stored.affine, stored.shape, str(path))
    values = np.ascontiguousarray(stored.values(), dtype=np.int16)
    return MetaTensor(torch.from_numpy(values)[None], affine=torch.from_numpy(stored.affine))


def read_prediction(path: Path, label: MetaTensor) -> MetaTensor:
    """A prediction (1, X, Y, Z) uint8; that of a DICOM SEG comes on the grid of the label.

    A label map on the grid of the label, but with axes in another order or direction, as another
    converter made it, is turned.

    Args:
        path: Label map, DICOM SEG, or folder that a run has written of one study; one without
            segments says that no kidney was found.
        label: The label (1, X, Y, Z) that it will be compared with.

    Raises:
        InputError: It cannot be read, a SEG lies on another grid, or a folder has no result, or
            several.
    """
    if is_result(path):
        seg = _seg_of(path)
        if seg is None:
            return empty_prediction(label)
        path = seg
    if not path.name.endswith(SEG_SUFFIX):
        return _turned(read_labels(path), label)
    from renalseg.dicom.read.segmentation import read_seg
    from renalseg.grids import Grid

    values = torch.from_numpy(read_seg(path, Grid.of(label)))
    return MetaTensor(values[None], affine=label.affine)


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


def _seg_of(folder: Path) -> Path | None:
    """The segmentation that a run has written of its one study; None where it found nothing."""
    studies = read_result(folder)["studies"]
    done = [study for study in studies if study["finding"] != REFUSED]
    if len(done) != 1:
        refused = "".join(f"; refused: {s['reason']}" for s in studies if s["finding"] == REFUSED)
        raise InputError(
            f"Expected the result of one study in {folder}, found {len(done)}{refused}. "
            f"For several, give the {SEG_SUFFIX} of each"
        )
    (study,) = done
    masks = tuple(mask_suffix(str(segment.get("label"))) for segment in study["segments"])
    names = [name for name in study["files"] if name.endswith(SEG_SUFFIX)]
    names += [name for name in study["files"] if name.endswith(SUFFIXES)]
    names = [name for name in names if not name.endswith(masks)]
    if not names and study["segments"]:
        raise InputError(
            f"Expected a {SEG_SUFFIX} or a label map in {folder}, found none: run with seg, nifti, "
            "nrrd or mha in outputs"
        )
    return folder / names[0] if names else None
