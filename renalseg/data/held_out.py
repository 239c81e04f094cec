"""The cases that validate a training, side by side as evaluation wants them."""

from __future__ import annotations

from pathlib import Path

from renalseg.data.case_lists import Fold, LabeledCase, labeled_cases
from renalseg.errors import InputError

IMAGES, LABELS = "cases", "labels"


def link_held_out(source: Path, out: Path, fold: Fold | None = None) -> list[str]:
    """Links the images and labels of the cases that validate, under the same names.

    Args:
        source: A KiTS folder or a data list; cases whose files are missing are left out.
        out: Gets the folders `cases` and `labels` with `<case>.nii.gz` in each.
        fold: Says which cases validate; see `labeled_cases`.

    Returns:
        The names of the cases.

    Raises:
        InputError: No case validates, two have the same name, or a file is in the way.
    """
    found = labeled_cases(source, "validation", fold)
    cases = {_name(case): case for case in found}
    if not cases or len(cases) < len(found):
        raise InputError(
            f"Expected cases of different names that validate in {source}, found "
            f"{', '.join(map(_name, found)) or 'none'}"
        )
    for name, case in cases.items():
        for folder, file in ((IMAGES, case.image), (LABELS, case.label)):
            _link(file, out / folder / f"{name}.nii.gz")
    return list(cases)


def _name(case: LabeledCase) -> str:
    return case.name.removesuffix(".gz").removesuffix(".nii").replace("/", "_")


def _link(file: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        raise InputError(f"Expected a link or nothing at {link}, found a file: choose another OUT")
    link.symlink_to(file.resolve())
