"""The errors of RenalSeg and their exit codes.

    RenalSegError                1   a fault of the program
    ├── InputError               2   the study cannot be processed as it is
    ├── ConfigError              2   an unknown method or device, a missing or broken bundle
    └── RetryableError          75   the same call may succeed later (disk full, out of memory,
                                     network down)

A signal ends a program with 128 + its number (`renalseg.runtime.process`): 130 for SIGINT,
143 for SIGTERM.

Messages give what was expected, what was found, and the file or UID. They never hold a patient's
name or ID.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator

EXIT_FAULT = 1
EXIT_REFUSED = 2
EXIT_RETRYABLE = 75  # EX_TEMPFAIL of sysexits.h

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_AWAY = frozenset(
    getattr(errno, name)
    for name in ("EIO", "EMFILE", "ENFILE", "EAGAIN", "ESTALE", "ETIMEDOUT", "EHOSTDOWN")
    if hasattr(errno, name)
)
# How native libraries say it in errors that have no type of their own: the loader, torch's
# allocators, C++, OpenVINO and Python's threads.
_NO_MEMORY = re.compile(
    r"failed to map segment|cannot allocate memory|can't alloc(?:\b|ate memory)|bad.?alloc"
    r"|out of memory|not enough memory|unable to allocate|can't start new thread",
    re.IGNORECASE,
)
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)


class RenalSegError(Exception):
    """Base of every error that RenalSeg raises on purpose."""

    exit_code: int = EXIT_FAULT


class InputError(RenalSegError):
    """The study cannot be processed; the message says what was expected and what was found."""

    exit_code = EXIT_REFUSED


class ConfigError(RenalSegError):
    """The call or the installation is wrong: unknown method, device or bundle."""

    exit_code = EXIT_REFUSED


class RetryableError(RenalSegError):
    """A resource ran out or is unavailable; the same call may succeed later or elsewhere."""

    exit_code = EXIT_RETRYABLE


def exit_code_for(exc: BaseException) -> int:
    """Give the process exit code for an exception.

    Frameworks wrap the errors of the code they call, so the explicit causes (``raise ... from``)
    are looked at too.

    Args:
        exc: The exception that reached the top of the program.

    Returns:
        2 for a refused input or configuration, 75 for an exhausted resource, else 1.
    """
    for cause in causes(exc):
        if isinstance(cause, RenalSegError):
            return cause.exit_code
        if what_ran_out(cause) is not None:
            return EXIT_RETRYABLE
    return EXIT_FAULT


def some_of(texts: Iterable[str], most: int = 5, joint: str = "; ") -> str:
    """List texts in a message; if there are many, only the first ones.

    Args:
        texts: What there is.
        most: How many are listed.
        joint: What stands between two.
    """
    every = list(texts)
    rest = len(every) - most
    return joint.join(every[:most]) + (f"{joint}… and {rest} more" if rest > 0 else "")


def plural(number: int, one: str, more: str = "") -> str:
    """Return a number with its noun, as in "1 slice" and "2 slices".

    Args:
        number: How many.
        one: The noun in the singular.
        more: In the plural; with an appended s by default.
    """
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def causes(exc: BaseException, *, implicit: bool = False) -> Iterator[BaseException]:
    """An exception, then what caused it, what caused that, and so on.

    Args:
        exc: The first.
        implicit: Where no cause is named (``raise ... from``), also what was handled meanwhile.
    """
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (current.__context__ if implicit else None)


def what_ran_out(exc: BaseException) -> str | None:
    """Say which resource ran out, and what to do, if a foreign error means that."""
    if isinstance(exc, RenalSegError):
        return None
    if isinstance(exc, OSError) and exc.errno is not None:
        if exc.errno == errno.ENOMEM:
            return _MEMORY
        if exc.errno in _DISK:
            return _SPACE
        return _DEVICE if exc.errno in _AWAY else None
    # By name, so that a caller without torch does not import it.
    names = {cls.__name__ for cls in type(exc).__mro__}
    if names & {"MemoryError", "OutOfMemoryError"}:
        return _MEMORY
    if isinstance(exc, OSError | RuntimeError | ImportError):
        text = str(exc)
        if _NO_MEMORY.search(text):
            return _MEMORY
        return _SPACE if _NO_SPACE.search(text) else None
    return None


_MEMORY = "out of memory; end other programs, raise the limit, or use a machine with more memory"
_SPACE = "the disk is full, or a file or quota at its limit; make room"
_DEVICE = "a disk, file server or limit of open files failed; try again later"
