"""A set of labeled CTs, and what is counted on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.data import MetaTensor

from renalseg.errors import InputError
from renalseg.inference.models import Models

Record = dict[str, Any]  # what was counted on one case; plain values, which JSON can keep
Row = dict[str, str | float]


@dataclass(frozen=True)
class Labeled:
    """A CT with its truth.

    Attributes:
        image: HU (1, X, Y, Z) float32.
        label: (1, X, Y, Z) uint8: 0 background, 1 kidney, 2 tumor, on the same grid.
        facts: What else the results say of the case.
    """

    image: MetaTensor
    label: MetaTensor
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """A set of labeled CTs, and what is counted on them.

    Attributes:
        name: For files and tables.
        cases: For each name, what loads or draws it.
        measure: Runs the models over a case and counts.
        row: A record as a line of a table.
        summarize: What the records of all cases come to.
    """

    name: str
    cases: Mapping[str, Callable[[], Labeled]]
    measure: Callable[[Models, str, Labeled], Record]
    row: Callable[[Record], Row]
    summarize: Callable[[Sequence[Record]], dict[str, Any]]


def require(*paths: Path) -> None:
    """Refuses a data folder that lacks files of a suite.

    Raises:
        InputError: Names them.
    """
    absent = [str(path) for path in paths if not path.exists()]
    if absent:
        raise InputError(f"Expected the data of a suite, not found: {', '.join(absent)}")
