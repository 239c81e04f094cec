"""Pairs of predictions and labels, as files and folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from renalseg.cases import SUFFIX
from renalseg.errors import InputError, some_of
from renalseg.output.folder import RESULT_FILE
from renalseg.runtime.progress import announce
from renalseg.volumes.files import is_volume, stem_of

KITS_FILE = f"segmentation{SUFFIX}"  # of a case's folder, in the layout of the KiTS repositories
SEG_SUFFIX = ".seg.dcm"


class Pair(NamedTuple):
    """A case to score.

    Attributes:
        case: Name.
        pred: Label map, DICOM SEG, or folder that a run has written.
        label: Label map: NIfTI, NRRD or MetaImage.
    """

    case: str
    pred: Path
    label: Path


def find_pairs(pred: Path, label: Path) -> list[Pair]:
    """Finds the cases of a prediction and a label, or of a folder of each.

    In a folder, the case ``x`` is ``x.nii.gz``, ``x.nrrd``, ``x.mha`` or
    ``x/segmentation.nii.gz``; a prediction may also be ``x.seg.dcm``, or the folder ``x`` of
    results that a run or an archive has written. Predictions without a label are left out, with a
    warning.

    Args:
        pred: One prediction, or a folder of them.
        label: One label, or a folder of them.

    Raises:
        InputError: There is none, a prediction is missing, or a case occurs twice.
    """
    for path in (pred, label):
        if not path.exists():
            raise InputError(f"Expected a file or a folder of cases, found none at {path}")
    if not label.is_dir():
        if pred.is_dir() and not is_result(pred):
            raise InputError(f"Expected a folder of labels for the folder {pred}, got {label}")
        return [Pair(_case_of(label), pred, label)]
    if not pred.is_dir():
        raise InputError(f"Expected one label for the prediction {pred}, got the folder {label}")
    labels, preds = _cases(label, _label_name), _cases(pred, _pred_name)
    if not labels:
        raise InputError(f"Expected <case>{SUFFIX} or <case>/{KITS_FILE} in {label}, found none")
    missing, superfluous = sorted(set(labels) - set(preds)), sorted(set(preds) - set(labels))
    without = f"without a label: {some_of(superfluous, joint=', ') or 'none'}"
    if missing:
        raise InputError(
            f"Expected one prediction for each of the {len(labels)} labels in {label}; in {pred} "
            f"missing: {some_of(missing, joint=', ')}; {without}"
        )
    if superfluous:
        announce(f"Warning: {len(superfluous)} of {len(preds)} predictions left out, {without}")
    return [Pair(name, preds[name], labels[name]) for name in sorted(labels)]


def is_result(path: Path) -> bool:
    """Returns whether a folder holds the result of a run."""
    return (path / RESULT_FILE).is_file()


def _cases(folder: Path, name: Callable[[Path], str | None]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        case = None if path.name.startswith(".") else name(path)
        if case is None:
            continue
        if case in found:
            raise InputError(f"Expected the case {case} once, found {found[case]} and {path}")
        nested = path / KITS_FILE
        found[case] = nested if nested.is_file() else path
    return found


def _label_name(path: Path) -> str | None:
    if path.is_dir():
        return path.name if (path / KITS_FILE).is_file() else None
    return stem_of(path) if is_volume(path) else None


def _pred_name(path: Path) -> str | None:
    if path.name.endswith(SEG_SUFFIX):
        return path.name.removesuffix(SEG_SUFFIX)
    return path.name if is_result(path) else _label_name(path)


def _case_of(label: Path) -> str:
    return label.parent.name if label.name == KITS_FILE else stem_of(label)
