"""What a result says nothing about, so that nobody takes silence for a finding."""

from __future__ import annotations

from collections.abc import Sequence

from renalseg.labels import CYST, KIDNEY, ContrastPhase, MeasuredSegment

_ALWAYS = (
    "renal vein and vena cava (tumor thrombus), arteries, lymph nodes, adrenal glands, collecting "
    "system, stones, and everything outside of the kidneys",
    "lesions under 1 cm: small ones are missed",
)
_HIDDEN = {
    ContrastPhase.NONCONTRAST: "solid masses as dense as the kidney without contrast medium",
    ContrastPhase.CORTICOMEDULLARY: "small masses in the medulla, which is dark in this phase",
    ContrastPhase.EXCRETORY: "masses of the collecting system, and those as dense as the kidney in "
    "this phase",
    ContrastPhase.UNKNOWN: "what the contrast phase hides, since it was not recognized",
}


def unassessed(segments: Sequence[MeasuredSegment], phase: ContrastPhase) -> tuple[str, ...]:
    """Name what was not assessed in a study.

    Args:
        segments: What was found.
        phase: Contrast phase of the series that was segmented.
    """
    if not any(segment.kind == KIDNEY for segment in segments):
        return ("the kidneys: none was found",)
    said = [*_ALWAYS]
    if phase in _HIDDEN:
        said.append(_HIDDEN[phase])
    rises = [segment.enhancement for segment in segments if segment.enhancement is not None]
    if not any(each.absolute_hu is not None for each in rises):
        said.append("enhancement: no other series of the study could be compared")
    if not any(segment.kind == CYST for segment in segments):
        said.append("cysts: only some methods report them")
    return tuple(said)
