"""Peak memory of a part of the process, and whether there is enough to begin."""

from __future__ import annotations

import mmap
import resource
from pathlib import Path

from renalseg.errors import RetryableError

LEAST_BYTES = 3 << 29
"""Address space below which the libraries cannot start: 1.5 GiB."""

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> bool:
    """Starts a new peak; False where the system cannot do that (only Linux can)."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True


def peak_mib() -> float:
    """Largest resident memory since `reset_peak`, or since the start of the process, in MiB."""
    try:
        lines = _STATUS.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def require_memory(least: int = LEAST_BYTES) -> None:
    """Ends a run that cannot go well before the libraries do: some of them exit without a word.

    Args:
        least: Bytes of address space; none is used.

    Raises:
        RetryableError: There is less, by a limit (``ulimit -v``) or for want of memory.
    """
    try:
        mmap.mmap(-1, least).close()
    except OSError as error:
        raise RetryableError(
            f"out of memory: expected at least {least / 2**30:.1f} GiB of address space, found "
            "less; raise the limit (ulimit -v), or take a machine that has more"
        ) from error
