"""Sources of a training: synthetic anatomies, real cases, or both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from renalseg.data.case_lists import Fold, LabeledCase, case_folders, labeled_cases
from renalseg.errors import ConfigError, InputError
from renalseg.inference.engine import cache_dir
from renalseg.synthesis.library import anatomy_files, load_anatomy
from renalseg.synthesis.patient import DrawnPatient, Patient
from renalseg.training.prepared import prepare_all
from renalseg.training.real_patient import RealPatient

SPLITS = ("training", "validation")

_VALIDATING = 10  # the last tenth of each kind of anatomy validates
_CACHE = ".renalseg"


def load_patients(
    source: str | Path | Sequence[str | Path],
    split: str | None = None,
    fold: Fold | None = None,
) -> Sequence[Patient]:
    """Loads the patients of one or more sources.

    Args:
        source: A folder of anatomies that `renalseg library` made; a folder with the layout of KiTS
            (`case_00000/imaging.nii.gz`, `segmentation.nii.gz`); a data list (.json) as MONAI reads
            it; or a sequence of these. Real cases are converted once, next to their files.
        split: "training", "validation", or None for all. The split is the same each time: the last
            tenth of each kind of anatomy validates, and of real cases those that
            `renalseg.data.case_lists` names.
        fold: Says which real cases train, and which validate.

    Raises:
        ConfigError: There is no such split.
        InputError: A source is none of these, or has no patient for the split.
    """
    if split is not None and split not in SPLITS:
        raise ConfigError(f"Expected the split {' or '.join(SPLITS)} or none, got {split!r}")
    sources = _paths(source)
    patients = [patient for one in sources for patient in _load(one, split, fold)]
    if not patients:
        raise InputError(
            f"Expected patients for {split or 'training and validation'} in "
            f"{', '.join(map(str, sources)) or 'at least one source'}, found none{_hint(fold)}"
        )
    return patients


def real_cases(
    source: str | Path | Sequence[str | Path], split: str, fold: Fold | None = None
) -> list[tuple[Path, LabeledCase]]:
    """The real cases of a split, each with the source that it is from.

    The arguments are those of `load_patients`; sources of anatomies have none.

    Raises:
        InputError: There is no such case.
    """
    sources = [path for path in _paths(source) if _is_real(path)]
    cases = [(path, case) for path in sources for case in labeled_cases(path, split, fold)]
    if not cases:
        raise InputError(
            f"Expected real cases for {split} in {', '.join(map(str, _paths(source)))}, "
            f"found none{_hint(fold)}"
        )
    return cases


def _hint(fold: Fold | None) -> str:
    """What may be wrong with a fold, for messages."""
    if fold is None:
        return ""
    first = min(fold.validation, default="no case")
    return f" in the fold of {first} and others; `folds` names a file with folds of other data"


def _paths(source: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(one) for one in ([source] if isinstance(source, str | Path) else source)]


def _is_real(source: Path) -> bool:
    return source.suffix == ".json" or bool(case_folders(source))


def _load(source: Path, split: str | None, fold: Fold | None) -> Sequence[Patient]:
    if _is_real(source):
        folder = source.parent if source.suffix == ".json" else source
        folders = prepare_all(labeled_cases(source, split, fold), cache_for(folder))
        return [RealPatient(one) for one in folders]
    if source.is_dir() and anatomy_files(source):
        return _drawn(source, split)
    raise InputError(
        f"Expected training data at {source}: a folder with anatomies (*.npz, `renalseg library` "
        "makes them), one with case_00000/imaging.nii.gz and segmentation.nii.gz "
        "(`renalseg data kits19` fetches them), or a data list (.json); "
        + ("found none of these in it" if source.is_dir() else "found no such folder")
    )


def _drawn(folder: Path, split: str | None) -> Sequence[Patient]:
    chosen = []
    for _, group in groupby(anatomy_files(folder), key=_kind):
        files = list(group)
        held_out = max(1, len(files) // _VALIDATING) if len(files) > 1 else 0
        first = len(files) - held_out
        parts = {"training": files[:first], "validation": files[first:], None: files}
        chosen += parts[split]
    return [DrawnPatient(load_anatomy(path)) for path in chosen]


def _kind(path: Path) -> str:
    """Returns the kind of an anatomy, such as phantom for phantom_0007.npz."""
    return path.stem.rpartition("_")[0]


def cache_for(root: Path) -> Path:
    """The folder for converted cases: in `root` or, if not writable, in the user's cache."""
    own = root / _CACHE
    if own.is_dir() or os.access(root, os.W_OK):
        return own
    cache = cache_dir()
    if cache is None:
        raise InputError(
            f"Expected a writable folder for the converted cases of {root}; "
            "RENALSEG_CACHE can name one"
        )
    return cache / "cases"
