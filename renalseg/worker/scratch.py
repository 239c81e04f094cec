"""The folder that holds a study while it is worked on, and its results until they are stored."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from renalseg.errors import ConfigError, InputError, RetryableError, what_ran_out
from renalseg.runtime.staging import sync, sync_all, try_lock

_SLOT = "slot-"
_SLOT_NAME = re.escape(_SLOT) + r"\w+-\w{8}"  # as `mkdtemp` makes them
_KEPT = "kept-"
_MARK = ".renalseg-worker"  # marks each folder that is made here; others are never removed
_PLACES = ("input", "output", "tmp")
_SPARE = 64 << 20  # bytes that stay free


class TooLargeError(InputError):
    """A study does not fit into the scratch folder."""


class NoRoomError(RetryableError):
    """The disk of the scratch folder is full."""


class Scratch:
    """A folder whose size is bounded; each slot, which does one job at a time, has an equal share.

    It also holds results that wait to be stored, which survive the worker.

    Args:
        root: Folder to make it in. Only what was made here is ever removed.
        limit: Bytes of all slots together.
        slots: How many there are.
    """

    def __init__(self, root: Path, limit: int, slots: int) -> None:
        self.root = root / "scratch"
        self.share = limit // slots

    @contextmanager
    def only(self) -> Iterator[None]:
        """Makes sure that no other worker uses the folder.

        Raises:
            ConfigError: Another worker uses it, or it is not a writable folder.
        """
        try:
            self._make()
            number = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if what_ran_out(error) is not None:
                raise
            raise ConfigError(f"Expected a scratch folder at {self.root}: {error}") from error
        try:
            if not try_lock(number):
                raise ConfigError(
                    f"Expected to be the only worker of the scratch folder {self.root}, "
                    "found another one"
                )
            yield
        finally:
            os.close(number)

    def clear(self) -> None:
        """Removes the slots that a killed worker left; waiting results stay."""
        self._make()
        for path in self.root.iterdir():
            if re.fullmatch(_SLOT_NAME, path.name):
                _remove(path)

    @contextmanager
    def folder(self, slot: int, needed: int) -> Iterator[Path]:
        """A folder for a job, with `input`, `output` and `tmp` in it; removed at the end.

        Args:
            slot: Whose.
            needed: Bytes of the study.

        Raises:
            TooLargeError: They exceed a slot's share.
            NoRoomError: The disk has no room for it.
        """
        if needed > self.share:
            raise TooLargeError(
                f"Expected a study of at most {self.share} bytes, the share of the scratch folder; "
                f"found {needed}"
            )
        self.check_room(needed)
        folder = self._new(str(slot))
        try:
            (folder / _MARK).touch()
            for name in _PLACES:
                (folder / name).mkdir(mode=0o700)
            yield folder
        finally:
            _remove(folder)

    def check_room(self, needed: int) -> None:
        """Checks that the disk has room for a study.

        Args:
            needed: Its bytes; its results and temporary files may take as many again.

        Raises:
            NoRoomError: It does not.
        """
        self._make()
        free, wanted = shutil.disk_usage(self.root).free, 2 * needed + _SPARE
        if free < wanted:
            raise NoRoomError(f"Expected {wanted} bytes free in {self.root}, found {free}")

    def keep(self, folder: Path, key: str) -> None:
        """Keeps the output of a job's folder until it is dropped, even through a power cut.

        Args:
            folder: Of the job; its complete `output` is moved away.
            key: Identifies the source of the results.
        """
        self.drop(key)
        made = folder / "kept"
        made.mkdir(mode=0o700)
        (made / _MARK).touch()
        (folder / "output").rename(made / "output")
        sync_all(made)
        made.rename(self._place(key))  # complete from the first moment
        sync(self.root)

    def kept(self, key: str) -> Path | None:
        """The folder with the kept results of a source; None if there are none."""
        place = self._place(key)
        return place / "output" if _is_own(place) else None

    def drop(self, key: str) -> None:
        """Removes the kept results of a source, if there are any."""
        if _is_own(place := self._place(key)):
            gone = self._new("old")
            place.rename(gone / "kept")  # at once: a half must not pass for the whole
            (gone / _MARK).touch()
            _remove(gone)

    def keeps(self) -> bool:
        """Whether any results are kept."""
        return any(path.name.startswith(_KEPT) for path in self.root.iterdir())

    def used(self, folder: Path | None = None) -> int:
        """Bytes of the files in a folder, by default the whole scratch folder."""
        total = 0
        for parent, _, names in os.walk(folder or self.root):
            for name in names:
                with suppress(FileNotFoundError):  # removed meanwhile
                    total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
        return total

    def _new(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{_SLOT}{name}-", dir=self.root))

    def _make(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _place(self, key: str) -> Path:
        return self.root / f"{_KEPT}{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _is_own(path: Path) -> bool:
    """Whether a folder was made here, by this user."""
    try:
        found = path.lstat()
    except OSError:
        return False
    mark = path / _MARK
    own = found.st_uid == os.geteuid()
    return own and path.is_dir() and not path.is_symlink() and mark.is_file()


def _remove(folder: Path) -> None:
    """Removes a folder that was made here, its mark last, so that the rest can still be removed."""
    if _is_own(folder):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _MARK:
                path.unlink(missing_ok=True)
        (folder / _MARK).unlink(missing_ok=True)
    with suppress(OSError):  # not empty, so not ours
        folder.rmdir()
