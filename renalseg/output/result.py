"""What a run did with a folder: result.json, which accounts for every file and every series."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from renalseg import __version__
from renalseg.dicom.read.accounts import FileAccount, SeriesAccount
from renalseg.output.folder import RESULT_FILE
from renalseg.output.study import StudyResult
from renalseg.settings import Settings


@dataclass(frozen=True)
class Result:
    """What a run found in a folder and wrote.

    Attributes:
        folder: The output folder; None where nothing was to be written.
        settings: What ran.
        studies: One result for each study with a CT series, in the order of their UIDs.
        series: What became of each CT series.
        files: What became of each file.
        warnings: What is unusual about the folder as a whole.
    """

    folder: Path | None
    settings: Settings
    studies: tuple[StudyResult, ...]
    series: tuple[SeriesAccount, ...] = ()
    files: FileAccount = field(default_factory=lambda: FileAccount(0, {}, {}))
    warnings: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that were written, result.json last."""
        if self.folder is None:
            return ()
        names = [name for study in self.studies for name in study.files]
        return tuple(self.folder / name for name in (*names, RESULT_FILE))

    def content(self) -> dict[str, Any]:
        """What result.json says."""
        return {
            "use": "research use only",
            **_asked(self.settings),
            **self.settings.choice.named_stages,
            "device": str(self.settings.choice.device),
            "networks": list(self.settings.choice.networks),
            "numbers": asdict(self.settings.choice.numbers),
            "overrides": dict(self.settings.choice.overrides),
            "warnings": list(self.warnings),
            "studies": [study.to_dict() for study in self.studies],
            "series": [series.to_json() for series in self.series],
            "files": self.files.to_json(),
        }

    def to_json(self) -> str:
        """The text of result.json."""
        return json.dumps(self.content(), indent=2) + "\n"

    def write(self, folder: Path) -> None:
        """Writes result.json into a folder."""
        (folder / RESULT_FILE).write_text(self.to_json(), encoding="utf-8")


def is_current(result: Mapping[str, Any], settings: Settings, digest: str) -> bool:
    """Whether a run would give an earlier result again.

    Args:
        result: What result.json says.
        settings: What would run.
        digest: Of the files that are there now, see `renalseg.dicom.read.files.list_files`.
    """
    asked = json.loads(json.dumps(_asked(settings)))
    files = result.get("files")
    return (
        all(result.get(name) == value for name, value in asked.items())
        and isinstance(files, Mapping)
        and files.get("digest") == digest
    )


def _asked(settings: Settings) -> dict[str, Any]:
    """What decides which objects a run writes, besides its input."""
    return {
        "version": __version__,
        "algorithm": settings.choice.algorithm,
        "fingerprint": settings.choice.fingerprint,
        "outputs": settings.outputs,
        "empty_frames": settings.empty_frames,
        "allow_gaps": settings.allow_gaps,
        "asked_series": settings.series,
    }
