"""Labeled cases on disk: KiTS folders and MONAI data lists."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from renalseg.errors import InputError

IMAGE, LABEL = "imaging.nii.gz", "segmentation.nii.gz"

# As many as the msvnet paper validates with. `renalseg library` leaves out the labels of the same
# cases, so that drawn anatomies never show a network the labels that validate it.
VALIDATION_NUMBERS = range(190, 210)
_EVERY = 5  # if a folder has none of those

_FOLDER = re.compile(r"case_(\d{5})")


class LabeledCase(NamedTuple):
    """A CT and its label map, both NIfTI.

    Attributes:
        name: Tells the cases of a source apart.
        image: HU.
        label: 0 background, 1 kidney, 2 tumor, 3 cyst.
    """

    name: str
    image: Path
    label: Path


class Fold(NamedTuple):
    """The part of a data set that one training sees.

    Attributes:
        validation: Names of the cases that validate.
        never: Names of those of the test, which neither train nor validate. All others train.
    """

    validation: frozenset[str]
    never: frozenset[str] = frozenset()


def number_of(name: str) -> int | None:
    """Returns the number of a KiTS case name, such as case_00160; None for another name."""
    found = _FOLDER.fullmatch(name)
    return int(found[1]) if found else None


def case_name(number: int) -> str:
    """The name of a KiTS case."""
    return f"case_{number:05d}"


def case_folders(root: Path) -> list[Path]:
    """The folders of a KiTS folder, in the order of their numbers."""
    if not root.is_dir():
        return []
    folders = (path for path in root.iterdir() if number_of(path.name) is not None)
    return sorted(path for path in folders if path.is_dir())


def kits_cases(root: Path, split: str | None = None, fold: Fold | None = None) -> list[LabeledCase]:
    """Lists the cases of a folder with the layout of KiTS: `case_00000/imaging.nii.gz` and so on.

    Folders without an image are skipped: a clone of the KiTS19 repository has only labels.

    Args:
        root: The folder with the folders of the cases.
        split: "training", "validation", or None for all.
        fold: Says which cases validate. None: cases 190 to 209, or every fifth case if there are
            none of them.

    Raises:
        InputError: No case has its image and its label.
    """
    cases = [LabeledCase(path.name, path / IMAGE, path / LABEL) for path in case_folders(root)]
    cases = [case for case in cases if case.image.is_file() and case.label.is_file()]
    if not cases:
        raise InputError(
            f"Expected case_00000/{IMAGE} with {LABEL}, and so on, in {root}, found none; "
            f"`renalseg data kits19 {root}` fetches them"
        )
    if fold is not None:
        return choose(cases, fold.validation, split, fold.never)
    held_out = {case.name for case in cases if number_of(case.name) in VALIDATION_NUMBERS}
    return choose(cases, held_out or {case.name for case in cases[_EVERY - 1 :: _EVERY]}, split)


def listed_cases(
    path: Path, split: str | None = None, fold: Fold | None = None
) -> list[LabeledCase]:
    """The cases of a data list: `{"training": [{"image": ..., "label": ...}], ...}`.

    This is the form of the Medical Segmentation Decathlon, which MONAI reads. Paths are relative
    to the folder of the list.

    Args:
        path: The JSON file.
        split: "training", "validation", or None for all.
        fold: Says which cases validate. None: those under "validation" in the file, or every fifth
            case of "training" if there are none.

    Raises:
        InputError: The file is not such a list, or names a missing file.
    """
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
        named = {key: [_entry(path, item) for item in lists.get(key, ())] for key in _KEYS}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f'Expected a data list {{"training": [{{"image": path, "label": path}}]}} in {path}, '
            f"cannot read it: {error!r}"
        ) from error
    cases = named["training"] + named["validation"]
    if not cases:
        raise InputError(f'Expected cases under "training" in {path}, found none')
    absent = [str(file) for case in cases for file in case[1:] if not file.is_file()]
    if absent:
        raise InputError(f"Expected the files that {path} names, not found: {absent[:5]}")
    if fold is not None:
        return choose(cases, fold.validation, split, fold.never)
    held_out = named["validation"] or named["training"][_EVERY - 1 :: _EVERY]
    return choose(cases, {case.name for case in held_out}, split)


def labeled_cases(
    source: Path, split: str | None = None, fold: Fold | None = None
) -> list[LabeledCase]:
    """The cases of a data list (.json) or of a KiTS folder; see `listed_cases` and `kits_cases`."""
    return (listed_cases if source.suffix == ".json" else kits_cases)(source, split, fold)


def choose(
    cases: list[LabeledCase],
    validation: Collection[str],
    split: str | None,
    never: Collection[str] = (),
) -> list[LabeledCase]:
    """The cases of a split.

    Args:
        cases: All.
        validation: Names of those that validate.
        split: "training", "validation", or None for all.
        never: Names of those that are in neither split.
    """
    if split is None:
        return cases
    seen = (case for case in cases if case.name not in never)
    return [case for case in seen if (case.name in validation) == (split == "validation")]


_KEYS = ("training", "validation")


def _entry(path: Path, item: dict[str, Any]) -> LabeledCase:
    image, label = path.parent / Path(item["image"]), path.parent / Path(item["label"])
    return LabeledCase(str(item["image"]), image, label)
