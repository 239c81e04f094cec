"""The folder that holds a study while it is worked on, and its bound."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from renalseg.errors import InputError


class TooLargeError(InputError):
    """A study does not fit into the scratch folder."""


class Scratch:
    """A folder whose size is bounded; each slot, which does one job at a time, has an equal share.

    Args:
        root: For nothing else: what is found in it is removed.
        limit: Bytes of all slots together.
        slots: How many there are.
    """

    def __init__(self, root: Path, limit: int, slots: int) -> None:
        self.root = root / "scratch"
        self.share = limit // slots

    def clear(self) -> None:
        """Removes what a killed worker left."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True, mode=0o700)

    @contextmanager
    def folder(self, slot: int, needed: int) -> Iterator[Path]:
        """A folder for a job, with `input`, `output` and `tmp` in it; removed at the end.

        Args:
            slot: Whose.
            needed: Bytes of the study.

        Raises:
            TooLargeError: They are more than a slot's share.
        """
        if needed > self.share:
            raise TooLargeError(
                f"Expected a study of at most {self.share} bytes, the share of the scratch folder; "
                f"found {needed}"
            )
        folder = self.root / f"slot-{slot}"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in (folder, *(folder / name for name in ("input", "output", "tmp"))):
                path.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def used(self, folder: Path | None = None) -> int:
        """Bytes of the files in a folder, by default in all of it."""
        total = 0
        for parent, _, names in os.walk(folder or self.root):
            for name in names:
                with suppress(FileNotFoundError):  # removed meanwhile
                    total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
        return total
