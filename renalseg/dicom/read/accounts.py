"""What became of every series and every file of a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PROCESSED, NOT_CHOSEN, REFUSED = "processed", "not chosen", "refused"


@dataclass(frozen=True)
class SeriesAccount:
    """What became of a series, or of a part of one that holds several phases or geometries.

    Attributes:
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
        slices: Number of slices.
        status: "processed", "not chosen" or "refused".
        reason: Why it was not processed; None where it was.
        score: Points by what they were given for, and their total; empty where it was not scored.
        part: What tells it from the other parts of its series, such as "AcquisitionNumber 2".
    """

    study: str
    series: str
    slices: int
    status: str
    reason: str | None = None
    score: Mapping[str, float] = field(default_factory=dict)
    part: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The series' entry in result.json."""
        entry = {
            "series": self.series,
            "study": self.study,
            "slices": self.slices,
            "status": self.status,
            "reason": self.reason,
            "score": dict(self.score),
        }
        return entry if self.part is None else {**entry, "part": self.part}


@dataclass(frozen=True)
class FileAccount:
    """What became of each file.

    Attributes:
        processed: Number of files whose pixels went into a result.
        skipped: Paths in the folder of files that are nothing to process, by what they are.
        refused: Paths in the folder of files that should have been processed, by what is wrong.
        digest: Of the names and sizes of all files, see `renalseg.dicom.read.files.list_files`.
    """

    processed: int
    skipped: Mapping[str, Sequence[str]]
    refused: Mapping[str, Sequence[str]]
    digest: str = ""

    def to_json(self) -> dict[str, Any]:
        """The entry "files" of result.json."""
        return {
            "processed": self.processed,
            "skipped": {reason: list(paths) for reason, paths in self.skipped.items()},
            "refused": {reason: list(paths) for reason, paths in self.refused.items()},
            "digest": self.digest,
        }
