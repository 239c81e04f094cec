"""Accounts of every series and file of a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROCESSED, NOT_CHOSEN, REFUSED = "processed", "not chosen", "refused"


@dataclass(frozen=True)
class SeriesAccount:
    """Account of a series, or of a part of one with several phases or geometries.

    Attributes:
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
        slices: Number of slices.
        status: "processed", "not chosen" or "refused".
        reason: Why it was not processed; None where it was.
        score: Points by trait, and their total; empty if it was not scored.
        part: What distinguishes it from other parts of its series: "AcquisitionNumber 2".
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
    """Account of the files.

    Attributes:
        processed: Number of files whose pixels went into a result.
        skipped: Paths of files that need no processing, by kind.
        refused: Paths of files that should have been processed, by fault.
        digest: Hash of all names and sizes, see `renalseg.dicom.read.files.list_files`.
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


def names_by_reason(
    account: Sequence[tuple[Path, str]], folder: Path | None
) -> dict[str, list[str]]:
    """Gives the names of files by their reason, both in order.

    Args:
        account: Each path with its reason.
        folder: To which the names are relative; None gives the names alone.
    """
    reasons: dict[str, list[str]] = {}
    for path, reason in sorted(account, key=lambda entry: (entry[1], entry[0])):
        name = path.name if folder is None else str(path.relative_to(folder))
        reasons.setdefault(reason, []).append(name)
    return reasons
