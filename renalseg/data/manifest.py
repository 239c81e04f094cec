"""Manifest of fetched files: size and SHA-256 of each."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from renalseg.runtime.checksums import sha256_of
from renalseg.runtime.staging import complete_file

NAME = "renalseg-manifest.json"


@dataclass(frozen=True)
class Entry:
    """The state of a complete file.

    Attributes:
        size: Bytes.
        sha256: Hexadecimal digits.
    """

    size: int
    sha256: str


class Manifest:
    """The manifest of a folder; several threads may use it.

    Args:
        root: The folder; its manifest is read if there is one.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        path = root / NAME
        if path.is_file():
            self._entries = msgspec.json.decode(path.read_bytes(), type=dict[str, Entry])

    def __contains__(self, path: Path) -> bool:
        """Whether a file of the folder is in the manifest."""
        return self._name(path) in self._entries

    def matches(self, path: Path) -> bool:
        """Whether a file is unchanged since it was added."""
        entry = self._entries[self._name(path)]
        return path.stat().st_size == entry.size and sha256_of(path) == entry.sha256

    def add(self, path: Path, sha256: str) -> None:
        """Adds a file and saves the manifest atomically.

        Args:
            path: In the folder of the manifest.
            sha256: Of the file.
        """
        with self._lock:
            self._entries[self._name(path)] = Entry(path.stat().st_size, sha256)
            entries = {name: asdict(entry) for name, entry in sorted(self._entries.items())}
            with complete_file(self.root / NAME) as file:
                file.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
