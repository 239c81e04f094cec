"""What a run did with a folder: result.json, which accounts for every file and every series."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from renalseg import __version__
from renalseg.results import RESULT_FILE, StudyResult
from renalseg.settings import Settings

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
    """

    processed: int
    skipped: Mapping[str, Sequence[str]]
    refused: Mapping[str, Sequence[str]]

    def to_json(self) -> dict[str, Any]:
        """The entry "files" of result.json."""
        return {
            "processed": self.processed,
            "skipped": {reason: list(paths) for reason, paths in self.skipped.items()},
            "refused": {reason: list(paths) for reason, paths in self.refused.items()},
        }


@dataclass(frozen=True)
class Result:
    """What a run found in a folder and wrote.

    Attributes:
        folder: The output folder.
        settings: What ran.
        studies: One result for each study with a CT series, in the order of their UIDs.
        series: What became of each CT series.
        files: What became of each file.
        warnings: What is unusual about the folder as a whole.
    """

    folder: Path
    settings: Settings
    studies: tuple[StudyResult, ...]
    series: tuple[SeriesAccount, ...] = ()
    files: FileAccount = FileAccount(0, {}, {})
    warnings: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that were written, result.json last."""
        names = [name for study in self.studies for name in study.files]
        return tuple(self.folder / name for name in (*names, RESULT_FILE))

    def to_json(self) -> str:
        """The text of result.json."""
        content = {
            "version": __version__,
            "use": "research use only",
            "localizer": self.settings.localizer,
            "tumor": self.settings.tumor,
            "device": str(self.settings.device),
            "algorithm": self.settings.algorithm,
            "warnings": list(self.warnings),
            "studies": [study.to_json() for study in self.studies],
            "series": [series.to_json() for series in self.series],
            "files": self.files.to_json(),
        }
        return json.dumps(content, indent=2) + "\n"

    def write(self, folder: Path) -> None:
        """Writes result.json into a folder."""
        (folder / RESULT_FILE).write_text(self.to_json())
