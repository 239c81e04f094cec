"""The labels of a model from elsewhere, and the structures that they stand for here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from renalseg.errors import ConfigError
from renalseg.labels import BACKGROUND, CYST, KIDNEY, LABELS, TUMOR

KNOBS: Mapping[str, Any] = {
    "labels": None,  # values or names of the model for kidney, tumor and cyst; None: by its names
    "axes": None,  # where the axes of its training files point, such as RAS; None: by its kind
    "margin_mm": 40.0,  # of the box around the kidneys that a tumor stage sees; None: all of the CT
}
"""What can be set in every model from elsewhere."""
STRUCTURES = {LABELS[kind].name: kind for kind in (KIDNEY, TUMOR, CYST)}
_EXAMPLE = "kidney=1,tumor=2,cyst=3"
_SIDES = frozenset({"left", "right", "l", "r"})
_ORGAN = frozenset({"kidney", "kidneys", "renal"})
_MASS = "mass"
"""A tumor, or a cyst too: `_meant` decides by the other names."""
_WORDS = {
    **dict.fromkeys(("", "parenchyma", "cortex", "medulla"), KIDNEY),
    **dict.fromkeys(("tumor", "tumors", "tumour", "tumours", "cancer", "neoplasm"), TUMOR),
    **dict.fromkeys(("carcinoma", "cell carcinoma", "rcc"), TUMOR),
    **dict.fromkeys(("cyst", "cysts"), CYST),
    **dict.fromkeys(("mass", "masses", "lesion", "lesions", "abnormality"), _MASS),
}


@dataclass(frozen=True)
class Structures:
    """What the labels of a model mean.

    Attributes:
        kinds: `KIDNEY`, `TUMOR` or `CYST` of each value that is one of them.
    """

    kinds: Mapping[int, int]

    def __contains__(self, kind: int) -> bool:
        """Whether the model has a structure."""
        return kind in self.kinds.values()

    def of_values(self, found: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Turns a label map of the model into one of ours; every other value is background.

        Args:
            found: Whole numbers from 0, of any shape.
        """
        most = max(int(found.max(initial=0)), *self.kinds)
        table = np.full(most + 1, BACKGROUND, np.uint8)
        for value, kind in self.kinds.items():
            table[value] = kind
        return np.asarray(table[found])


def parse_labels(text: str) -> dict[str, list[int | str]]:
    """Reads a text such as "kidney=1,tumor=2+3"; a value is a number or a name of the model.

    Raises:
        ConfigError: It is none.
    """
    labels: dict[str, list[int | str]] = {}
    for part in text.split(","):
        name, _, values = (piece.strip() for piece in part.partition("="))
        kept = [value.strip() for value in values.split("+")]
        if name not in STRUCTURES or name in labels or not all(kept):
            known = ", ".join(STRUCTURES)
            raise ConfigError(f"Expected labels as in {_EXAMPLE}, of {known}, got {text!r}")
        labels[name] = [int(value) if value.isdecimal() else value for value in kept]
    return labels


def find_structures(names: Mapping[str, int], labels: Any, where: str) -> Structures:
    """Finds out what the labels of a model mean, from their names unless that is given.

    Args:
        names: The value of each name.
        labels: Values or names of the model for "kidney", "tumor" and "cyst"; None to go by the
            names.
        where: What the model is, for messages.

    Raises:
        ConfigError: `labels` has a name that is none of ours, or a label that the model lacks; or
            no name of the model is known.
    """
    said = ", ".join(f"{name}={value}" for name, value in names.items())
    if labels is not None:
        return Structures(_given(names, labels, f"{where}, which has {said}"))
    kinds = _meant(names)
    if not kinds:
        raise ConfigError(
            f"Expected a label for kidney, tumor or cyst in {where}, found {said}: say which they "
            f"are with --labels, as in {_EXAMPLE}"
        )
    return Structures(kinds)


def _given(names: Mapping[str, int], labels: Any, where: str) -> dict[int, int]:
    if not isinstance(labels, Mapping) or not labels or not set(labels) <= set(STRUCTURES):
        raise ConfigError(
            f"Expected labels of {', '.join(STRUCTURES)}, as in {_EXAMPLE}, got {labels!r}"
        )
    kinds: dict[int, int] = {}
    for name, given in labels.items():
        for label in given if isinstance(given, (list, tuple)) else [given]:
            value: Any = names.get(label) if isinstance(label, str) else label
            if isinstance(value, bool) or value not in names.values() or value == BACKGROUND:
                raise ConfigError(f"Unknown label {label!r} for {name} in {where}")
            if kinds.setdefault(value, STRUCTURES[name]) != STRUCTURES[name]:
                raise ConfigError(f"Expected one structure for the label {label!r} in {where}")
    return kinds


def _meant(names: Mapping[str, int]) -> dict[int, int]:
    """The structure of each value whose name is known."""
    found = {value: _word(name) for name, value in names.items() if value != BACKGROUND}
    # KiTS calls tumors and cysts masses: next to tumors, what is left of them are cysts
    mass = CYST if TUMOR in found.values() else TUMOR
    return {
        value: mass if kind == _MASS else int(kind)
        for value, kind in found.items()
        if kind is not None
    }


def _word(name: str) -> Any:
    """What a name means: a structure, `_MASS`, or None where it is another's."""
    tokens = [token for token in re.split(r"[\W_]+", name.lower()) if token]
    words = [token for token in tokens if token not in _SIDES | _ORGAN]
    if not words and not _ORGAN.intersection(tokens):
        return None
    kind = _WORDS.get(" ".join(words))
    return None if kind == KIDNEY and not _ORGAN.intersection(tokens) else kind
