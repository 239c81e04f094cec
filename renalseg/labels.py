"""The one table of labels: values, names, codes and colors.

Plain data, so that the networks, the DICOM writer and the reports can all read it without importing
one another. Codes are SNOMED CT, as DICOM PS3.16 lists them. A tumor is coded as a mass: computed
tomography alone proves nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from renalseg.scores import Nephrometry

BACKGROUND = 0
KIDNEY = 1
TUMOR = 2
CYST = 3  # in the labels of KiTS21 and KiTS23; the methods of the papers do not predict it

Color = tuple[int, int, int]  # red, green, blue, 0 to 255


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
SIDED_KIDNEY = MappingProxyType(  # where a code cannot have a modifier
    {
        Side.LEFT: Code("18639004", "SCT", "Left kidney"),
        Side.RIGHT: Code("9846003", "SCT", "Right kidney"),
    }
)


class ContrastPhase(StrEnum):
    """Contrast phase of a CT of the kidneys, as its pixels show it."""

    NONCONTRAST = "noncontrast"
    CORTICOMEDULLARY = "corticomedullary"
    NEPHROGRAPHIC = "nephrographic"
    EXCRETORY = "excretory"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class LabelInfo:
    """Meaning of a label value.

    Attributes:
        name: Lower-case name for tables and files.
        category: Segmented property category.
        type: Segmented property type.
        region: Anatomic region that holds the structure, or None where the type says it already.
        colors: Display colors. A kidney has the one of its side, left first. Tumors and cysts take
            theirs by their numbers, so that neighbors in a list differ.
    """

    name: str
    category: Code
    type: Code
    region: Code | None
    colors: tuple[Color, ...]


LABELS = MappingProxyType(
    {
        KIDNEY: LabelInfo(
            name="kidney",
            category=Code("123037004", "SCT", "Anatomical Structure"),
            type=KIDNEY_CODE,
            region=None,
            colors=((238, 140, 56), (158, 212, 72)),
        ),
        TUMOR: LabelInfo(
            name="tumor",
            category=Code("49755003", "SCT", "Morphologically Abnormal Structure"),
            type=Code("4147007", "SCT", "Mass"),
            region=KIDNEY_CODE,
            colors=(
                *((64, 200, 232), (240, 92, 190), (250, 222, 60)),
                *((255, 84, 72), (168, 128, 255), (48, 224, 160)),
            ),
        ),
        CYST: LabelInfo(
            name="cyst",
            category=Code("49755003", "SCT", "Morphologically Abnormal Structure"),
            type=Code("367643001", "SCT", "Cyst"),
            region=KIDNEY_CODE,
            colors=((96, 132, 255), (172, 192, 255), (56, 84, 204), (118, 150, 186)),
        ),
    }
)


# In the name and the type of a segment; a tumor may be called one of the kidney.
_WORDS = ((CYST, r"cyst"), (TUMOR, r"mass|tumou?r|neoplasm|lesion"), (KIDNEY, r"kidney"))


def kind_of(text: str) -> int | None:
    """Tell the kind of a segment by what another program calls it; None where it does not say."""
    return next((kind for kind, words in _WORDS if re.search(words, text, re.IGNORECASE)), None)


@dataclass(frozen=True)
class Tracking:
    """What objects of several studies call the same lesion, DICOM PS3.16, TID 4108.

    Attributes:
        uid: TrackingUID.
        identifier: TrackingID.
    """

    uid: str
    identifier: str


@dataclass(frozen=True)
class Segment:
    """One segment of a result that is present in the volume.

    Attributes:
        number: Value in the segment map, from 1.
        label: Name for people, such as "Left kidney" or "Right kidney tumor 1".
        kind: `KIDNEY`, `TUMOR` or `CYST`.
        side: Side of the kidney that it is or lies in.
        volume_ml: Volume in milliliters.
        tracking: What an earlier study called it; None without one.
    """

    number: int
    label: str
    kind: int
    side: Side
    volume_ml: float
    tracking: Tracking | None = field(default=None, kw_only=True)

    @property
    def rgb(self) -> Color:
        """Display color, the same in every file of a result."""
        return rgb_of(self.kind, self.side, self.number)


def rgb_of(kind: int, side: Side, number: int) -> Color:
    """Give the display color of a segment by its kind, its side and its number."""
    colors = LABELS[kind].colors
    if kind == KIDNEY:
        return colors[list(Side).index(side)]
    return colors[(number - 3) % len(colors)]  # two kidneys come first


class Third(StrEnum):
    """Third of a kidney along its long axis, from its upper pole to its lower."""

    UPPER = "upper"
    MIDDLE = "middle"
    LOWER = "lower"


THIRDS = MappingProxyType(
    {
        Third.UPPER: Code("264217000", "SCT", "Superior"),
        Third.MIDDLE: Code("11896004", "SCT", "Intermediate"),
        Third.LOWER: Code("261089000", "SCT", "Inferior"),
    }
)

SIZES_CM = (4, 7, 10)  # the cut-offs of TNM's T1 and T2; a size alone is not a stage


def size_category(longest_mm: float, *, lower_bound: bool = False) -> str | None:
    """Name the size of a tumor by the cut-offs of TNM, which count to the smaller size.

    Args:
        longest_mm: Its longest diameter.
        lower_bound: Whether it may be longer: then only the largest category is certain, and there
            is none below it.
    """
    for at_least, at_most in zip((None, *SIZES_CM), SIZES_CM, strict=False):
        if longest_mm <= 10 * at_most:
            if lower_bound:
                return None
            return f"up to {at_most} cm" if at_least is None else f"{at_least} to {at_most} cm"
    return f"over {SIZES_CM[-1]} cm"


BOUNDED = frozenset({"volume_ml", "longest_mm", "longest_axial_mm"})
"""The measures that are lower bounds where a segment is cut."""


def bounded(text: str, lower_bound: bool) -> str:
    """Write a measure, with a sign before it where it is a lower bound."""
    return f"≥ {text}" if lower_bound else text


@dataclass(frozen=True)
class PhaseValue:
    """The density of a segment in one contrast phase of its study.

    Attributes:
        phase: Contrast phase of the series.
        mean_hu: Mean of the CT's values, without the outermost voxels of the segment.
        sd_hu: Standard deviation, likewise.
    """

    phase: ContrastPhase
    mean_hu: float
    sd_hu: float


@dataclass(frozen=True)
class Enhancement:
    """How a segment enhances; `renalseg.findings.enhancement` says how that is measured.

    Attributes:
        values: In each phase of the study that shows it, in the order of the phases.
        absolute_hu: By how much it is denser in its brightest phase than without contrast medium.
        relative_percent: The same, as a share of its density without contrast medium.
        washout_percent: How much of it is gone in the last phase.
        fat_percent: Share of the segment that is macroscopic fat, without contrast medium.
        calcified_percent: Share that is calcified, likewise.
        fluid_percent: Share as thin as fluid in the phase in which that is least.
    """

    values: tuple[PhaseValue, ...]
    absolute_hu: float | None = None
    relative_percent: float | None = None
    washout_percent: float | None = None
    fat_percent: float | None = None
    calcified_percent: float | None = None
    fluid_percent: float | None = None


@dataclass(frozen=True)
class Confidence:
    """How sure a result is of a tumor or cyst; `renalseg.findings.confidence` says how.

    Attributes:
        mean_output: Mean output of the networks over it, from 0 to 1, which is no probability.
        peak_output: The highest.
        agreement_percent: How much of a tumor other networks of the method call a lesion, too;
            None where there are none, and of a cyst, which most networks do not know.
        probability: How often lesions like it were real in validation patients; None where the
            method was not calibrated.
        reason: Why there is no probability; None where there is one.
        review: What a person should look at, one reason each.
    """

    mean_output: float
    peak_output: float
    agreement_percent: float | None = None
    probability: float | None = None
    reason: str | None = None
    review: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeriesPhase:
    """A series of the study in which the findings were followed.

    Attributes:
        series: SeriesInstanceUID.
        phase: Contrast phase, recognized from the pixels.
        shift_mm: How far the kidney of each side moved from the series that was segmented.
        reason: Why nothing was measured in it; None where something was.
    """

    series: str
    phase: ContrastPhase = ContrastPhase.UNKNOWN
    shift_mm: Mapping[Side, float] = field(default_factory=dict, hash=False)
    reason: str | None = None


@dataclass(frozen=True)
class MeasuredSegment(Segment):
    """A segment and its measures; `renalseg.findings.measurements` says how each is taken.

    The values are rounded here and nowhere else, so that all files of a result say the same.

    Attributes:
        longest_mm: Longest diameter.
        longest_axial_mm: Longest diameter within one axial slice.
        mean_hu: Mean of the CT's values.
        sd_hu: Standard deviation of the CT's values.
        third: Of a tumor or cyst: where along its kidney it lies; None without one on its side.
        exophytic_percent: Of a tumor or cyst: how much of it lies outside of its kidney, likewise.
        size: Of a tumor: its size category.
        lower_bound: Whether it reaches the end of the scan or of the field of view. Its volume and
            diameters are lower bounds then, and a tumor has no size category up to a size. What
            depends on the whole kidney, as `third`, is None where the kidney is cut.
        image: The source slice that shows most of it, such as "81 of 129".
        enhancement: What other series of the study say about it; None where there are none.
        nephrometry: Of a tumor: how hard it is to resect.
        confidence: Of a tumor or cyst: how sure the result is of it; None where a person drew it,
            or a model gives labels alone.
    """

    longest_mm: float
    longest_axial_mm: float
    mean_hu: float
    sd_hu: float
    third: Third | None = None
    exophytic_percent: float | None = None
    size: str | None = None
    lower_bound: bool = False
    image: str | None = None
    enhancement: Enhancement | None = None
    nephrometry: Nephrometry | None = None
    confidence: Confidence | None = None
