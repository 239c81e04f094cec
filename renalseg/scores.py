"""The record of nephrometry: measures that say how hard a tumor is to resect, and their points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple


class Quantity(NamedTuple):
    """A measure of nephrometry.

    Attributes:
        unit: "mm" or "%".
        short: Heading of a column.
        meaning: For people.
        renal: Letter of the component of R.E.N.A.L. whose points it gives; "" for none.
        padua: Name of the component of PADUA, likewise.
    """

    unit: str
    short: str
    meaning: str
    renal: str = ""
    padua: str = ""


QUANTITIES = MappingProxyType(
    {
        "size": Quantity("mm", "Longest", "Longest diameter of the tumor", "R", "size"),
        "exophytic": Quantity(
            "%", "Exophytic", "Share outside of the kidney", "E", "exophytic rate"
        ),
        "sinus": Quantity("mm", "To sinus", "Distance to the renal sinus", "N", "renal sinus"),
        "collecting": Quantity(
            "mm",
            "To collecting system",
            "Distance to the collecting system, taken as the sinus",
            "",
            "collecting system",
        ),
        "between": Quantity(
            "%",
            "Between polar lines",
            "Share between the polar lines",
            "L",
            "longitudinal location",
        ),
        "polar": Quantity("mm", "Across polar line", "Reach across the nearer polar line"),
        "face": Quantity("mm", "In front", "Center in front of the kidney's coronal plane"),
        "rim": Quantity("mm", "Medial", "Center medial of the kidney's middle", "", "rim"),
        "center": Quantity("mm", "To center", "Center to the kidney's center"),
    }
)
"""All measures by their names in results, in their order."""


@dataclass(frozen=True)
class Component:
    """A measure of a tumor and its points.

    Attributes:
        value: In the unit of its entry in `QUANTITIES`.
        renal: Points in R.E.N.A.L.; None where it has none.
        padua: Points in PADUA, likewise.
    """

    value: float
    renal: int | None = None
    padua: int | None = None


@dataclass(frozen=True)
class Nephrometry:
    """Scores of a tumor; `renalseg.findings.nephrometry` says how each is taken.

    Attributes:
        renal: R.E.N.A.L. score with its suffixes, such as "7ph"; None where it was not assessed.
        padua: PADUA score with its suffix, such as "9p", likewise.
        c_index: Centrality index, likewise.
        components: What was measured, by the names in `QUANTITIES`.
        reason: Why a score was not assessed; None if all were.
    """

    renal: str | None = None
    padua: str | None = None
    c_index: float | None = None
    components: Mapping[str, Component] = field(default_factory=dict, hash=False)
    reason: str | None = None
