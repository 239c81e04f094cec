"""Folders for what the libraries keep, where the user's own cannot be written to."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Environment variables by which libraries are told where to keep what they can make again, and
# where they keep it otherwise, in the home folder.
_FOLDERS = {
    "MPLCONFIGDIR": ".config/matplotlib",
    "CUPY_CACHE_DIR": ".cupy/kernel_cache",
    "NUMBA_CACHE_DIR": ".cache/numba",
}


def use_writable_folders() -> None:
    """Gives the libraries a folder that is removed at the end, if the home folder is read-only.

    They would else complain at every run. What the user has set stays. Where nothing can be
    written to, not even the folder for temporary files, nothing is set.
    """
    missing = [name for name in _FOLDERS if not os.environ.get(name)]
    if not missing or _home_is_writable():
        return
    try:
        folder = Path(tempfile.mkdtemp(prefix="renalseg-"))
    except OSError:
        return
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in missing:
        os.environ[name] = str(folder / name.lower())
        (folder / name.lower()).mkdir()


def _home_is_writable() -> bool:
    """Whether folders can be made in the home folder."""
    try:
        home = Path.home()
    except RuntimeError:
        return False
    return home.is_dir() and os.access(home, os.W_OK | os.X_OK)
