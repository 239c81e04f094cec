"""A set of labeled CTs, and what is counted on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.data import MetaTensor

from renalseg.errors import InputError
from renalseg.inference.models import Models

Record = dict[str, Any]  # counts of one case; plain values that JSON can hold
Row = dict[str, str | float]


@dataclass(frozen=True)
class Labeled:
    """A CT with its truth.

    Attributes:
        image: HU (1, X, Y, Z) float32.
        label: (1, X, Y, Z) uint8: 0 background, 1 kidney, 2 tumor, on the same grid.
        facts: Further facts of the case for the results.
    """

    image: MetaTensor
    label: MetaTensor
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """A set of labeled CTs, and what is counted on them.

    Attributes:
        name: For files and tables.
        cases: By name, a function that loads or draws the case.
        measure: Runs the models over a case and counts.
        row: Turns a record into a table row.
        summarize: Summarizes the records of all cases.
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
