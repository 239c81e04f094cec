"""Records of finished cases on disk, so that a measurement resumes where it stopped."""

from __future__ import annotations

import json
import re
from pathlib import Path

from renalseg.inference.metadata import fingerprint, short_hash
from renalseg.runtime.staging import complete_file
from renalseg.settings import Settings
from tools.accuracy.suites.suite import Record

_FOLDER = "finished"
_MEASURES = "2"  # raise it when the definition of what is counted changes


class Kept:
    """The records of one method, valid while weights, settings and numbers are the same.

    Args:
        out_dir: Folder of the measurement.
        settings: The method.
    """

    def __init__(self, out_dir: Path, settings: Settings) -> None:
        self.folder = out_dir / _FOLDER / settings.choice.algorithm
        # of the files as they are now, and of everything not in a bundle's file
        self.fingerprint = short_hash(
            _MEASURES, fingerprint(settings.choice.folders), settings.choice.fingerprint
        )

    def get(self, suite: str, case: str) -> Record | None:
        """The record of a case, if there is one of the same weights."""
        path = self._path(suite, case)
        if not path.is_file():
            return None
        stored = json.loads(path.read_text(encoding="utf-8"))
        record: Record = stored["record"]
        return record if stored["fingerprint"] == self.fingerprint else None

    def put(self, suite: str, case: str, record: Record) -> None:
        """Writes the record of a case, complete or not at all."""
        content = {"fingerprint": self.fingerprint, "record": record}
        with complete_file(self._path(suite, case)) as file:
            file.write_text(json.dumps(content), encoding="utf-8")

    def _path(self, suite: str, case: str) -> Path:
        return self.folder / suite / f"{re.sub(r'[^A-Za-z0-9]+', '_', case)}.json"
