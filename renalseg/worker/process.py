"""Runs the application in a separate process, and ends it with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LAST_WORDS = 500  # characters
_MERCY_SECONDS = 5.0  # between asking a process to end and killing it
_LOOK_SECONDS = 0.1
_LONGEST_LINE = 1 << 16  # bytes


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Exit code; negative is the signal that killed it.
        words: The last line of its standard error that reports an error, or else the last line.
        why: The reason that `watch` gave to end it; None if it ended by itself.
    """

    code: int
    words: str
    why: str | None = None


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    keep: Iterable[int] = (),
    on_start: Callable[[int, str], None],
    watch: Callable[[], str | None],
) -> Ended:
    """Runs a command until it ends or there is a reason to end it.

    Args:
        command: Program and arguments.
        environment: Its whole environment.
        folder: Working directory.
        keep: File descriptors that it inherits, such as that of a lock.
        on_start: Gets its process id and when it began.
        watch: Called repeatedly; a text is a reason to end it.

    Raises:
        OSError: It cannot be started.
    """
    process = subprocess.Popen(
        command,
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=tuple(keep),
        start_new_session=True,  # signals from the terminal are the worker's, not its
    )
    assert process.stderr is not None  # a pipe was requested
    words = _Words()
    reader = threading.Thread(target=words.listen, args=(process.stderr,), daemon=True)
    reader.start()
    why = None
    try:
        on_start(process.pid, born(process.pid) or "")
        while process.poll() is None and why is None:
            time.sleep(_LOOK_SECONDS)
            why = watch()
    finally:
        end(process.pid, lambda: process.poll() is not None)
        reader.join(timeout=_MERCY_SECONDS)
    return Ended(process.wait(), words.last, why)


def born(pid: int) -> str | None:
    """When a process began, in the system's count; None if it does not exist."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *values = text.rpartition(")")[2].split()
    return None if state == "Z" else values[18]


def end_orphan(pid: int | None, began: str | None) -> bool:
    """Ends a process group of a killed worker if it is still the same; returns whether it was."""
    if not pid or not began or born(pid) != began:
        return False
    end(pid, lambda: born(pid) != began)
    return True


def end(pid: int, ended: Callable[[], bool]) -> None:
    """Ends a process group: with SIGTERM first, then what is still running."""
    if not ended():
        _signal(pid, signal.SIGTERM)
        limit = time.monotonic() + _MERCY_SECONDS
        while time.monotonic() < limit and not ended():
            time.sleep(_LOOK_SECONDS)
    _signal(pid, signal.SIGKILL)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # all of it has ended
        os.killpg(group, number)


class _Words:
    """Keeps the last line, or the last that reports an error, and nothing else in memory."""

    def __init__(self) -> None:
        self.last = ""
        self._error = False

    def listen(self, stream: IO[bytes]) -> None:
        """Reads to the end."""
        with stream:
            for line in iter(lambda: stream.readline(_LONGEST_LINE), b""):
                text = line.decode("utf-8", "replace").strip()
                error = "error: " in text
                if text and (error or not self._error):
                    self.last, self._error = text[:_LAST_WORDS], error
