"""The sentences of all results: report, SR, result.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from renalseg.labels import CYST, KIDNEY, TUMOR, ContrastPhase, MeasuredSegment, Segment, Side

USE = "Research use only, not for diagnosis."
NOT_REPORTED = ": not reported."  # how a review of what was withheld ends
CORRECTED = (
    "A person corrected the outlines: they are those of an edited segmentation, measured anew. "
    "Nobody has verified the report."
)
TUMOR_FOUND, NO_TUMOR, NO_KIDNEY = "tumor found", "no tumor found", "no kidney found"

PHASES = MappingProxyType(
    {
        ContrastPhase.NONCONTRAST: "Without contrast enhancement.",
        ContrastPhase.CORTICOMEDULLARY: "Corticomedullary phase.",
        ContrastPhase.NEPHROGRAPHIC: "Nephrographic phase.",
        ContrastPhase.EXCRETORY: "Excretory phase.",
        ContrastPhase.UNKNOWN: "Contrast phase not recognized.",
    }
)


@dataclass(frozen=True)
class Judgment:
    """The judgment of a result about itself.

    Attributes:
        phase: Contrast phase, recognized from the pixels.
        reason: Why what the networks found is no kidney; None where a kidney is reported, or where
            they found nothing.
        review: What a person should look at, one sentence each.
    """

    phase: ContrastPhase = ContrastPhase.UNKNOWN
    reason: str | None = None
    review: tuple[str, ...] = ()

    @property
    def withheld(self) -> bool:
        """Whether something that the networks found in the kidneys was not reported."""
        return any(text.endswith(NOT_REPORTED) for text in self.review)


@dataclass(frozen=True)
class Correction:
    """What a result that a person corrected is made of.

    Attributes:
        seg: SOPInstanceUID of the edited segmentation.
        report: SOPInstanceUID of the report that the corrected one succeeds; None without one.
        changed_ml: Volume whose label differs from that of the earlier result.
        segments: Numbers of the edited segments by the number of each new one; a kidney may be of
            several.
        person: Who corrected it, for the report alone; None where that is not known.
    """

    seg: str
    report: str | None
    changed_ml: float
    segments: Mapping[int, tuple[int, ...]]
    person: str | None = None


class Kind(StrEnum):
    """Kind of a statement."""

    REVIEW = "Please review"
    WARNING = "Warning"
    CORRECTED = "Corrected"
    COMPARISON = "Comparison"
    CONCLUSION = "Conclusion"


class Statement(NamedTuple):
    """One statement of a result.

    Attributes:
        kind: What it is.
        text: Whole sentences, for people.
    """

    kind: Kind
    text: str


def statements(
    segments: Sequence[MeasuredSegment],
    judgment: Judgment,
    warnings: Sequence[str],
    compared: str | None = None,
    *,
    corrected: bool = False,
) -> tuple[Statement, ...]:
    """Return all statements of a result, in the order of all its files: the conclusion comes last.

    Nobody should read "No tumor found" before the reasons not to rely on it.

    Args:
        segments: What was found.
        judgment: What the result says about itself.
        warnings: For people; those that ask for a review may be among them.
        compared: What changed since an earlier study, if there is one.
        corrected: Whether a person drew the outlines.
    """
    rest = [text for text in dict.fromkeys(warnings) if text not in judgment.review]
    return (
        *((Statement(Kind.CORRECTED, CORRECTED),) if corrected else ()),
        *(Statement(Kind.REVIEW, text) for text in judgment.review),
        *(Statement(Kind.WARNING, text) for text in rest),
        *(() if compared is None else (Statement(Kind.COMPARISON, compared),)),
        Statement(Kind.CONCLUSION, sentences(segments, judgment)),
    )


def finding(segments: Sequence[Segment]) -> str:
    """Give "tumor found", "no tumor found" or "no kidney found"."""
    kinds = {segment.kind for segment in segments}
    if TUMOR in kinds:
        return TUMOR_FOUND
    return NO_TUMOR if KIDNEY in kinds else NO_KIDNEY


def missing_kidneys(segments: Sequence[Segment]) -> list[Side]:
    """Give the sides on which no kidney was found."""
    found = {segment.side for segment in segments if segment.kind == KIDNEY}
    return [side for side in Side if side not in found]


def cut_off(segments: Sequence[MeasuredSegment]) -> str | None:
    """Name the segments that the scan cuts off and the consequence; None if there are none."""
    cut = [segment.label for segment in segments if segment.lower_bound]
    if not cut:
        return None
    names = ", ".join([cut[0], *(label[0].lower() + label[1:] for label in cut[1:])])
    return (
        f"{names}: cut by the end of the scan or of the field of view; "
        "volume and diameters are lower bounds."
    )


def sentences(segments: Sequence[MeasuredSegment], judgment: Judgment) -> str:
    """State what was found, what was not found, and the contrast phase."""
    text = _found(segments, judgment)
    return text if finding(segments) == NO_KIDNEY else f"{text} {PHASES[judgment.phase]}"


def _found(segments: Sequence[MeasuredSegment], judgment: Judgment) -> str:
    if finding(segments) == NO_KIDNEY:
        why = "" if judgment.reason is None else f": {judgment.reason}"
        return (
            f"No kidney found{why}. "
            "Tumors are looked for in kidneys, so this says nothing about them."
        )
    said = [f"No {side.value} kidney found." for side in missing_kidneys(segments)]
    tumors = [segment for segment in segments if segment.kind == TUMOR]
    said += _cysts(segments)
    if not tumors:
        return " ".join(["No tumor found.", *said])
    count = "One tumor" if len(tumors) == 1 else f"{len(tumors)} tumors"
    largest = max(tumors, key=lambda tumor: tumor.longest_mm)
    what = "it is" if len(tumors) == 1 else "the largest is"
    where = f"in the {largest.side.value} kidney"
    if largest.third is not None:
        where = f"in the {largest.third.value} third of the {largest.side.value} kidney"
    long = f"{'at least ' if largest.lower_bound else ''}{largest.longest_mm:.0f} mm long"
    size = "" if largest.size is None else f" ({largest.size})"
    said.insert(0, f"{count} found: {what} {long}{size}, {where}.")
    return " ".join(said)


def _cysts(segments: Sequence[MeasuredSegment]) -> list[str]:
    cysts = [segment for segment in segments if segment.kind == CYST]
    if not cysts:
        return []
    largest = max(cysts, key=lambda cyst: cyst.longest_mm)
    size = f"{largest.longest_mm:.0f} mm long, in the {largest.side.value} kidney"
    return [f"One cyst, {size}." if len(cysts) == 1 else f"{len(cysts)} cysts, the largest {size}."]
