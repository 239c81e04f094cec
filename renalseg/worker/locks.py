"""Locks between processes: one worker for a database, one job on a device."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from renalseg.errors import ConfigError, what_ran_out
from renalseg.runtime.staging import LOCKS, try_lock


@contextmanager
def only_worker(database: Path) -> Iterator[None]:
    """Ensures that no other worker uses a database.

    Raises:
        ConfigError: Another worker uses it, its folder is not writable, or the system has no such
            locks.
    """
    if not LOCKS:
        raise ConfigError("Expected Linux or macOS for the worker, found a system without flock")
    path = database.with_name(database.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = _open(path)
    except OSError as error:
        if what_ran_out(error) is not None:
            raise
        raise ConfigError(f"Expected a folder for the worker at {path.parent}: {error}") from error
    try:
        if not try_lock(number):
            raise ConfigError(f"Expected to be the only worker of {database}, found another one")
        yield
    finally:
        os.close(number)


@contextmanager
def device_lock(device: str, give_up: Callable[[], bool]) -> Iterator[int | None]:
    """Waits until no job of any worker on this machine uses a GPU.

    The application inherits the lock, so it holds as long as the application runs, even if the
    worker dies.

    Args:
        device: "cpu", for which there is no lock, or the name of a GPU.
        give_up: Called about twice a second; True ends the wait.

    Yields:
        The lock's file descriptor; None for "cpu", or if `give_up` returned True.
    """
    if device == "cpu":
        yield None
        return
    name = "cuda-0" if device in ("auto", "cuda") else re.sub(r"\W+", "-", device)
    number = _open(Path(tempfile.gettempdir()) / f"renalseg-{name}.lock")
    try:
        while not (held := try_lock(number)) and not give_up():
            pass
        yield number if held else None
    finally:
        os.close(number)


def _open(path: Path) -> int:
    """Opens a lock file; one made by another user can be locked without writing to it."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except PermissionError:  # shared folders are protected against O_CREAT of another user's file
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
