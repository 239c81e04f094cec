"""The record of a comparison of two studies of a patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from renalseg.findings.followup.change import Change
from renalseg.labels import MeasuredSegment, Side

EARLIER, LATER = "earlier", "later"


@dataclass(frozen=True)
class Moved:
    """How the kidney of a side was found again.

    Attributes:
        shift_mm: How far its center lies from where the other study has it, beyond the difference
            of the two centers of its labels.
        degrees: How far it turned.
        covered_percent: Share of the smaller kidney that lies in the other after the move.
        by: What was registered: "ct" or "labels".
        reason: Why it was not; then nothing on this side was compared. None if it was.
    """

    shift_mm: float | None = None
    degrees: float | None = None
    covered_percent: float | None = None
    by: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Lesion:
    """A lesion that only one of the studies shows.

    Attributes:
        number: Of its segment in that study.
        label: Its name there.
        kind: `TUMOR` or `CYST`.
        side: Of its kidney.
        longest_mm: Longest diameter.
        volume_ml: Volume.
    """

    number: int
    label: str
    kind: int
    side: Side
    longest_mm: float
    volume_ml: float

    @staticmethod
    def of(segment: MeasuredSegment) -> Lesion:
        """What is listed of a segment."""
        names = ("number", "label", "kind", "side", "longest_mm", "volume_ml")
        return Lesion(**{name: getattr(segment, name) for name in names})


@dataclass(frozen=True)
class PriorStudy:
    """The study that another was compared with.

    Attributes:
        study: StudyInstanceUID; the name of a volume's case.
        series: SeriesInstanceUID, or the name of the volume's file.
        date: StudyDate as YYYY-MM-DD; None where it is not known.
        algorithm: Name of the method.
        fingerprint: Of weights, settings and numbers.
        version: Of RenalSeg.
        phase: Contrast phase.
    """

    study: str
    series: str
    date: str | None
    algorithm: str
    fingerprint: str
    version: str
    phase: str


@dataclass(frozen=True)
class Comparison:
    """What changed between two studies.

    Attributes:
        days: Between them; None where that is not known.
        prior: The earlier study.
        kidneys: The kidneys that both studies show.
        lesions: The tumors and cysts that both show.
        new: Those that only the later one shows.
        gone: Those that only the earlier one shows.
        unmatched: Those of either on a side that was not compared, by `EARLIER` and `LATER`.
        sides: How each kidney was found again.
        remarks: What speaks against relying on it, one sentence each.
    """

    days: int | None
    prior: PriorStudy | None = None
    kidneys: tuple[Change, ...] = ()
    lesions: tuple[Change, ...] = ()
    new: tuple[Lesion, ...] = ()
    gone: tuple[Lesion, ...] = ()
    unmatched: Mapping[str, tuple[Lesion, ...]] = field(default_factory=dict, hash=False)
    sides: Mapping[Side, Moved] = field(default_factory=dict, hash=False)
    remarks: tuple[str, ...] = ()
