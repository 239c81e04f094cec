"""The one table of labels: values, names, codes and colors.

Plain data, so that the networks, the DICOM writer and the reports can all read it without importing
one another. Codes are SNOMED CT, as DICOM PS3.16 lists them. A tumor is coded as a mass: computed
tomography alone proves nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

BACKGROUND = 0
KIDNEY = 1
TUMOR = 2
CYST = 3  # in the labels of KiTS21 and KiTS23; no bundle predicts it


class Code(NamedTuple):
    """A coded concept: value, coding scheme and meaning."""

    value: str
    scheme: str
    meaning: str


class Side(StrEnum):
    """Side of the patient's body, not of the picture."""

    LEFT = "left"
    RIGHT = "right"


KIDNEY_CODE = Code("64033007", "SCT", "Kidney")
LATERALITY = MappingProxyType(
    {Side.LEFT: Code("7771000", "SCT", "Left"), Side.RIGHT: Code("24028007", "SCT", "Right")}
)


@dataclass(frozen=True)
class LabelInfo:
    """What one value of a prediction means.

    Attributes:
        name: Lower-case name for tables and files.
        category: Segmented property category.
        type: Segmented property type.
        region: Anatomic region that holds the structure, or None where the type says it already.
        rgb: Display color, 0 to 255.
    """

    name: str
    category: Code
    type: Code
    region: Code | None
    rgb: tuple[int, int, int]


LABELS = MappingProxyType(
    {
        KIDNEY: LabelInfo(
            name="kidney",
            category=Code("123037004", "SCT", "Anatomical Structure"),
            type=KIDNEY_CODE,
            region=None,
            rgb=(212, 132, 76),
        ),
        TUMOR: LabelInfo(
            name="tumor",
            category=Code("49755003", "SCT", "Morphologically Abnormal Structure"),
            type=Code("4147007", "SCT", "Mass"),
            region=KIDNEY_CODE,
            rgb=(64, 200, 232),
        ),
    }
)


@dataclass(frozen=True)
class Segment:
    """One segment of a result that is present in the volume.

    Attributes:
        number: Value in the segment map, from 1.
        label: Name for people, such as "Left kidney" or "Right kidney tumor 1".
        kind: `KIDNEY` or `TUMOR`.
        side: Side of the kidney that it is or lies in.
        volume_ml: Volume in milliliters.
    """

    number: int
    label: str
    kind: int
    side: Side
    volume_ml: float
