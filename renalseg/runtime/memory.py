"""Memory: peak use of a part of the process, and what is available."""

from __future__ import annotations

import os
import sys
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_GROUPS = Path("/sys/fs/cgroup")  # a container sees its own at the root
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> bool:
    """Starts a new peak; returns False if the system cannot (only Linux can)."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True


def peak_mib() -> float:
    """Returns the peak resident memory in MiB since `reset_peak` or the start of the process.

    NaN if the system does not report it.
    """
    try:
        lines = _STATUS.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        if resource is None:
            return float("nan")
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / 1024 / (1024 if sys.platform == "darwin" else 1)  # bytes there, else KiB


def physical_bytes() -> int | None:
    """Returns the memory of the machine; None if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def total_bytes() -> int | None:
    """Returns the most memory that this process can have: the machine's, or a lower limit.

    None if the system does not report it.
    """
    return min(
        _known(_meminfo("MemTotal"), physical_bytes(), *_cgroup_limits(), _address_limit()),
        default=None,
    )


def available_bytes() -> int | None:
    """Returns the memory available without swapping; None if the system does not report it."""
    group_free = (limit - used for limit, used in _cgroups())
    limit, used = _address_limit(), _meminfo("VmSize", _STATUS)
    own = limit - used if limit is not None and used is not None else None
    return min(_known(_meminfo("MemAvailable"), *group_free, own), default=None)


def _known(*values: int | None) -> list[int]:
    return [max(0, value) for value in values if value is not None]


def _meminfo(name: str, path: Path = Path("/proc/meminfo")) -> int | None:
    try:
        lines = path.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration, ValueError):
        return None


def _address_limit() -> int | None:
    """Returns the limit of `ulimit -v`."""
    if resource is None:
        return None
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _cgroup_limits() -> list[int]:
    return [limit for limit, _ in _cgroups()]


def _cgroups() -> list[tuple[int, int]]:
    """Yields limit and use in bytes of this process' control groups, of either version."""
    found = []
    for folder, limit, used in (
        (_GROUPS, "memory.max", "memory.current"),
        (_GROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        try:
            most, now = (int((folder / name).read_text()) for name in (limit, used))
            cached = (folder / "memory.stat").read_text().split()
        except (OSError, ValueError):  # no such version, or no limit: "max"
            continue
        # files in the cache give way
        inactive = "inactive_file" if limit == "memory.max" else "total_inactive_file"
        if inactive in cached:
            now -= int(cached[cached.index(inactive) + 1])
        found.append((most, now))
    return found
