"""What was found, in the words of all results: report, SR, result.json."""

from __future__ import annotations

from collections.abc import Sequence

from renalseg.labels import KIDNEY, TUMOR, MeasuredSegment, Segment, Side

USE = "Research use only, not for diagnosis."
TUMOR_FOUND, NO_TUMOR, NO_KIDNEY = "tumor found", "no tumor found", "no kidney found"


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


def sentences(segments: Sequence[MeasuredSegment]) -> str:
    """Say what was found, and what was looked for and not found."""
    if finding(segments) == NO_KIDNEY:
        return "No kidney found. Tumors are looked for in kidneys, so this says nothing about them."
    said = [f"No {side.value} kidney found." for side in missing_kidneys(segments)]
    tumors = [segment for segment in segments if segment.kind == TUMOR]
    if not tumors:
        return " ".join(["No tumor found.", *said])
    count = "One tumor" if len(tumors) == 1 else f"{len(tumors)} tumors"
    largest = max(tumors, key=lambda tumor: tumor.longest_mm)
    what = "it is" if len(tumors) == 1 else "the largest is"
    where = f"in the {largest.side.value} kidney"
    if largest.third is not None:
        where = f"in the {largest.third.value} third of the {largest.side.value} kidney"
    said.insert(
        0,
        f"{count} found: {what} {largest.longest_mm:.0f} mm long ({largest.size}), {where}.",
    )
    return " ".join(said)
