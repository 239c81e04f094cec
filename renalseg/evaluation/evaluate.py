"""Reads predictions and labels, scores them, and says and saves the result."""

from __future__ import annotations

from pathlib import Path

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
from renalseg.output.study import REFUSED
from renalseg.runtime.progress import steps

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
    """A NIfTI label map (1, X, Y, Z) uint8: 0 background, 1 kidney, 2 tumor, 3 cyst.

    Raises:
        InputError: It cannot be read, or holds other values.
    """
    stored = load_nifti(path, torch.int16)
    low, high = int(stored.min()), int(stored.max())
    if low < 0 or high > CYST:
        raise InputError(f"Expected values 0 to {CYST} in {path}, found {low} to {high}")
    return MetaTensor(stored.as_tensor().to(torch.uint8), affine=stored.affine)


def read_prediction(path: Path, label: MetaTensor) -> MetaTensor:
    """A prediction (1, X, Y, Z) uint8; that of a DICOM SEG comes on the grid of the label.

    Args:
        path: NIfTI file, DICOM SEG, or folder that a run has written of one study; one without a
            SEG says that no kidney was found.
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
        return read_labels(path)
    from renalseg.dicom.read.segmentation import read_seg
    from renalseg.grids import Grid

    values = torch.from_numpy(read_seg(path, Grid.of(label)))
    return MetaTensor(values[None], affine=label.affine)


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
    names = [name for name in done[0]["files"] if name.endswith(SEG_SUFFIX)]
    if not names and done[0]["segments"]:
        raise InputError(
            f"Expected a {SEG_SUFFIX} in {folder}, found none: run with seg in outputs"
        )
    return folder / names[0] if names else None
