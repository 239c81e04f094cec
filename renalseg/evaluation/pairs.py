"""Pairs of predictions and labels, matched by name or UID."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from renalseg.cases import SUFFIX
from renalseg.errors import InputError, some_of
from renalseg.evaluation.predictions import (
    KITS_FILE,
    Prediction,
    case_of,
    file_of,
    find_predictions,
    is_result,
)
from renalseg.output.archive_table import SUMMARY_FILE, read_rows
from renalseg.runtime.progress import announce
from renalseg.volumes.files import stem_of

NO_LABEL = "no label"


class Pair(NamedTuple):
    """A case to score.

    Attributes:
        case: Name.
        pred: Label map, DICOM SEG, or folder that a run has written; None if a run found nothing.
        label: Label map: NIfTI, NRRD or MetaImage.
    """

    case: str
    pred: Path | None
    label: Path


class LeftOut(NamedTuple):
    """A case without scores.

    Attributes:
        case: Name.
        reason: Why.
        labeled: Whether there is a label, whose score is therefore missing.
    """

    case: str
    reason: str
    labeled: bool = True


class Pairs(NamedTuple):
    """What is there to score.

    Attributes:
        pairs: In the order of the names of the labels.
        left_out: Labels without a prediction, and predictions without a label.
    """

    pairs: list[Pair]
    left_out: list[LeftOut]


def find_pairs(pred: Path, label: Path) -> Pairs:
    """Finds the cases of a prediction and a label, or of a folder of each.

    In a folder, the case ``x`` is ``x.nii.gz``, ``x.nrrd``, ``x.mha`` or
    ``x/segmentation.nii.gz``; a prediction is also what
    `renalseg.evaluation.predictions.find_predictions` finds. A label may have the name of the
    prediction, or the UID of the study or series that was segmented.

    Args:
        pred: One prediction, or a folder of them.
        label: One label, or a folder of them.

    Raises:
        InputError: There is no pair, or a case occurs twice.
    """
    for path in (pred, label):
        if not path.exists():
            raise InputError(f"Expected a file or a folder of cases, found none at {path}")
    if not label.is_dir():
        if pred.is_dir() and not is_result(pred):
            raise InputError(f"Expected a folder of labels for the folder {pred}, got {label}")
        return Pairs([Pair(_name_of(label), pred, label)], [])
    if not pred.is_dir():
        raise InputError(f"Expected one label for the prediction {pred}, got the folder {label}")
    labels = _labels(label)
    if not labels:
        raise InputError(f"Expected <case>{SUFFIX} or <case>/{KITS_FILE} in {label}, found none")
    found, superfluous = _match(list(find_predictions(pred)), labels)
    left_out = [*_missing(pred, labels, found), *(LeftOut(x, NO_LABEL, False) for x in superfluous)]
    pairs = [
        Pair(name, found[name].path, labels[name])
        for name in sorted(found)
        if found[name].refused is None
    ]
    if not pairs:
        missing = some_of((each.case for each in left_out if each.labeled), joint=", ")
        raise InputError(
            f"Expected predictions for the {len(labels)} labels in {label}; in {pred} missing: "
            f"{missing}; without a label: {some_of(superfluous, joint=', ') or 'none'}"
        )
    if superfluous:
        total = len(found) + len(superfluous)
        names = some_of(superfluous, joint=", ")
        announce(
            f"Warning: {len(superfluous)} of {total} predictions left out, without a label: {names}"
        )
    return Pairs(pairs, left_out)


def _labels(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        case = None if path.name.startswith(".") else case_of(path)
        if case is None:
            continue
        if case in found:
            raise _twice(case, found[case], path)
        found[case] = file_of(path)
    return found


def _match(
    preds: Sequence[Prediction], labels: Mapping[str, Path]
) -> tuple[dict[str, Prediction], list[str]]:
    """The prediction of each label, and the names of those without one."""
    found: dict[str, Prediction] = {}
    superfluous = []
    for pred in preds:
        name = next((name for name in pred.names if name in labels), None)
        if name is None:
            superfluous.append(pred.names[0])
        elif name in found:
            raise _twice(name, found[name].path, pred.path)
        else:
            found[name] = pred
    return found, superfluous


def _missing(
    folder: Path, labels: Mapping[str, Path], found: Mapping[str, Prediction]
) -> list[LeftOut]:
    refused = {name: pred.refused for name, pred in found.items() if pred.refused}
    said = _refusals(folder / SUMMARY_FILE) | refused
    missing = sorted(set(labels) - set(found) | set(refused))
    return [
        LeftOut(name, f"no prediction: {said[name]}" if said.get(name) else "no prediction")
        for name in missing
    ]


def _refusals(table: Path) -> dict[str, str]:
    """Why an archive has no result of a study, by its name."""
    rows = read_rows(table)
    return {row["study"]: row["message"] for row in rows if row.get("exit_code", "0") != "0"}


def _twice(case: str, *paths: Path | None) -> InputError:
    return InputError(f"Expected the case {case} once, found {' and '.join(map(str, paths))}")


def _name_of(label: Path) -> str:
    return label.parent.name if label.name == KITS_FILE else stem_of(label)
