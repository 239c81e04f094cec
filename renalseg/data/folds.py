"""Folds: which patients train, which validate, and which do neither."""

from __future__ import annotations

from pathlib import Path

from renalseg.data.case_lists import Fold, case_name
from renalseg.errors import ConfigError
from renalseg.inference.methods import BUNDLES, read_yaml
from renalseg.runtime.checksums import RECIPES

KITS19 = BUNDLES / RECIPES / "kits19_folds.yaml"
"""The folds of the 210 cases of KiTS19."""


def read_fold(path: str | Path | None = None, fold: int = 0) -> Fold:
    """Reads one fold of a file.

    Args:
        path: YAML with lists of cases under `folds`, and one under `never`. A number n is the KiTS
            case n; otherwise a case is the image in a data list. None for `KITS19`.
        fold: Number of the fold that validates, from 0.

    Raises:
        ConfigError: The file is no such file, or has no such fold.
    """
    path = Path(path or KITS19)
    content = read_yaml(path, "a file with folds")
    folds, never = content.get("folds"), content.get("never", [])
    if not isinstance(folds, list) or not all(isinstance(one, list) for one in (*folds, never)):
        raise ConfigError(f"Expected lists of cases under folds and never in {path}")
    if type(fold) is not int or not 0 <= fold < len(folds):
        raise ConfigError(f"Expected a fold from 0 to {len(folds) - 1} of {path}, got {fold}")
    return Fold(_names(folds[fold]), _names(never))


def _names(cases: list[int | str]) -> frozenset[str]:
    return frozenset(case_name(case) if isinstance(case, int) else str(case) for case in cases)
