"""Hidden folders to write to, which are removed however the work in them ends.

A killed process removes nothing. So each folder holds a file that its owner keeps locked. The
system releases the lock when the owner ends, and the next process in the same place removes
unlocked folders. Folders of other users and symbolic links are never touched.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows; abandoned folders stay there
    fcntl = None  # type: ignore[assignment]

LOCKS = fcntl is not None
"""Whether the system has locks of files."""

PREFIX = ".renalseg-"
_LOCK = "lock"

moving = threading.Lock()
"""Held while results move to where they belong, which `remove_all` waits for."""

_alive: dict[Path, int] = {}


class Staging:
    """A hidden folder of this process.

    Args:
        parent: Folder in which it is created.

    Attributes:
        folder: The hidden folder, which only the user can open.
        files: Folder in it to write to, with the usual permissions of a new folder.

    Raises:
        OSError: It cannot be created.
    """

    def __init__(self, parent: Path) -> None:
        self.folder, lock = _make(parent)
        _alive[self.folder] = lock
        try:
            self.files.mkdir()
        except OSError:
            self.remove()
            raise

    @property
    def files(self) -> Path:
        """Folder to write to."""
        return self.folder / "files"

    def move_to(self, parent: Path) -> None:
        """Moves the folder to another parent.

        Raises:
            OSError: The parent is on another file system or cannot be written to; the folder then
            stays.
        """
        moved = self.folder.rename(parent / self.folder.name)
        _alive[moved] = _alive.pop(self.folder)
        self.folder = moved

    def note(self, text: str) -> None:
        """Leaves a note for the process that finds the folder if this one is killed."""
        lock = _alive[self.folder]
        os.ftruncate(lock, 0)
        os.lseek(lock, 0, os.SEEK_SET)
        os.write(lock, text.encode())
        os.fsync(lock)

    def remove(self) -> None:
        """Removes the folder and its content."""
        lock = _alive.pop(self.folder, None)
        if lock is not None and fcntl is None:
            os.close(lock)  # Windows removes no file that is open
        _remove(self.folder)
        if lock is not None and fcntl is not None:
            os.close(lock)


@contextmanager
def staging(parent: Path) -> Iterator[Staging]:
    """Provides a hidden folder that is removed at the end."""
    made = Staging(parent)
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Provides a file to write, which takes its name once it is complete and on the disk.

    Whatever ends the work leaves the file as it was.

    Args:
        path: The file; its folder is made.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent)
    with staging(path.parent) as place:
        yield place.files / path.name
        sync(place.files / path.name)
        (place.files / path.name).replace(path)


def remove_abandoned(parent: Path, before: Callable[[Path, str], None] | None = None) -> None:
    """Removes the hidden folders of killed processes from a folder.

    Args:
        parent: Folder to look into; nothing happens if it cannot be read.
        before: Called with a hidden folder and its note before the folder is removed. Without it,
            those with a note stay: they may hold what only its writer can put back.
    """
    if fcntl is None:
        return
    with suppress(OSError):
        for folder in [path for path in parent.iterdir() if path.name.startswith(PREFIX)]:
            with suppress(OSError):
                _remove_abandoned(folder, before)


def remove_all() -> None:
    """Removes all hidden folders of this process, as its last action."""
    with moving:
        for folder in list(_alive):
            _remove(folder)


def try_lock(number: int) -> bool:
    """Takes the lock of an open file, which the system gives back when its process ends.

    Args:
        number: File descriptor of a file or a folder.

    Returns:
        False where another process holds it.

    Raises:
        OSError: The system (Windows) or the file system has no such locks.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def sync_all(folder: Path) -> None:
    """Flushes everything to the disk before its name says that it is complete."""
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            sync(path)


def sync(path: Path) -> None:
    """Flushes a file, or the names in a folder, to the disk."""
    if os.name != "posix" and path.is_dir():
        return  # only POSIX opens folders
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some file systems cannot do that for folders
            raise
    finally:
        os.close(handle)


def _make(parent: Path) -> tuple[Path, int]:
    """A new folder, and its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with suppress(FileNotFoundError):  # removed by a process that took it for abandoned
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            if _take(lock) is not False and os.fstat(lock).st_nlink:
                return folder, lock
            os.close(lock)


def _take(lock: int) -> bool | None:
    """Whether a lock could be taken; None where the file system has no locks."""
    try:
        return try_lock(lock)
    except OSError:
        return None


def _remove_abandoned(folder: Path, before: Callable[[Path, str], None] | None) -> None:
    if folder.is_symlink() or folder.lstat().st_uid != os.geteuid():
        return
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # killed before it was locked, so there is nothing in it
        folder.rmdir()
        return
    try:
        if _take(lock):
            note = os.pread(lock, os.fstat(lock).st_size, 0).decode(errors="replace")
            if before is not None:
                before(folder, note)
            elif note:
                return
            _remove(folder)
    finally:
        os.close(lock)


def _remove(folder: Path) -> None:
    """Removes a folder, its lock last, so that remains differ from folders in use."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name != _LOCK:
                shutil.rmtree(path, ignore_errors=True)
        (folder / _LOCK).unlink(missing_ok=True)
        folder.rmdir()
