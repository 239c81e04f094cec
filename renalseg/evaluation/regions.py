"""The regions that the KiTS challenges compare, as sets of label values."""

from __future__ import annotations

from typing import NamedTuple

from renalseg.labels import CYST, KIDNEY, TUMOR


class Region(NamedTuple):
    """A part of a label map that is scored as one mask.

    Attributes:
        name: For tables and files.
        values: Label values that belong to it.
        tolerance_mm: Distance up to which surfaces count as equal in the surface Dice.
    """

    name: str
    values: tuple[int, ...]
    tolerance_mm: float


# The hierarchical evaluation classes of KiTS21 and KiTS23. The tolerances are the variability
# between raters, as kits23/configuration/labels.py of github.com/neheller/kits23 states them.
KIDNEY_AND_MASSES = Region("kidney_and_masses", (KIDNEY, TUMOR, CYST), 1.0330772532390826)
MASSES = Region("masses", (TUMOR, CYST), 1.1328796488598762)
TUMORS = Region("tumor", (TUMOR,), 1.1498198361434828)
KITS23 = (KIDNEY_AND_MASSES, MASSES, TUMORS)
