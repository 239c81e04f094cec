"""The errors of RenalSeg, and the exit code that each one ends the process with.

    RenalSegError                1   a fault of the program
    ├── InputError               2   the study cannot be processed as it is
    ├── ConfigError              2   an unknown method or device, a missing or broken bundle
    └── RetryableError          75   the same call may succeed later (disk full, out of memory,
                                     network down)

Messages give what was expected, what was found, and the file or UID. They never hold a patient's
name or ID.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

EXIT_FAULT = 1
EXIT_REFUSED = 2
EXIT_RETRYABLE = 75  # EX_TEMPFAIL of sysexits.h

_RETRYABLE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOMEM})


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
    """A resource ran out or is away; the same call may succeed later or on a larger machine."""

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
        if _is_exhausted(cause):
            return EXIT_RETRYABLE
    return EXIT_FAULT


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


def _is_exhausted(exc: BaseException) -> bool:
    if isinstance(exc, MemoryError):
        return True
    if isinstance(exc, OSError):
        return exc.errno in _RETRYABLE_ERRNOS
    # By name, so that a caller without torch does not import it.
    return any(cls.__name__ == "OutOfMemoryError" for cls in type(exc).__mro__)
