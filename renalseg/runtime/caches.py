"""Cache folders for libraries, if the user's own cannot be written to."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Environment variables with the libraries' cache folders, and their defaults in the home folder.
_FOLDERS = {
    "MPLCONFIGDIR": ".config/matplotlib",
    "CUPY_CACHE_DIR": ".cupy/kernel_cache",
    "NUMBA_CACHE_DIR": ".cache/numba",
}


def use_writable_folders() -> None:
    """Gives the libraries a folder that is removed at the end, if the home folder is read-only.

    Otherwise they would complain at every run. The user's settings are respected. If not even the
    folder for temporary files can be written to, nothing is set.
    """
    missing = _missing()
    if not missing:
        return
    try:
        folder = Path(tempfile.mkdtemp(prefix="renalseg-"))
    except OSError:
        return
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _use(folder, missing)


@contextmanager
def lent(folder: Path) -> Iterator[None]:
    """Lets the libraries write to a folder if they have no other one.

    Args:
        folder: Created if needed; the caller removes it.
    """
    missing = _missing()
    if not missing:
        yield
        return
    folder.mkdir()
    _use(folder, missing)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        for name in missing:
            del os.environ[name]


def _missing() -> list[str]:
    """Returns the variables of `_FOLDERS` that are needed and not set."""
    missing = [name for name in _FOLDERS if not os.environ.get(name)]
    return [] if not missing or _home_is_writable() else missing


def _use(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        own = folder / name.lower()
        own.mkdir()
        os.environ[name] = str(own)


def _home_is_writable() -> bool:
    """Returns whether folders can be created in the home folder."""
    try:
        home = Path.home()
    except RuntimeError:
        return False
    return home.is_dir() and os.access(home, os.W_OK | os.X_OK)
