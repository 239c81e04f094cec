"""Damage that shows only when a header value is used.

pydicom parses a value on access, and highdicom checks it when copying it. Both then raise errors of
many kinds, which all mean that the header cannot be used. Errors raised by the project's own code
are not changed.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from renalseg.errors import InputError, RenalSegError, causes, what_ran_out

_LIBRARIES = ("pydicom", "highdicom")


@contextmanager
def damage_refused(what: str) -> Iterator[None]:
    """Refuses input that the DICOM libraries cannot interpret; also a decorator.

    Args:
        what: The failed operation, for the message.

    Raises:
        InputError: In place of an error of the libraries. Its message quotes no value.
    """
    try:
        yield
    except (RenalSegError, MemoryError, ImportError):
        raise
    except Exception as error:
        if any(map(_of_the_system, causes(error))) or not _raised_by_libraries(error):
            raise
        raise InputError(
            f"{what}: a header is damaged, or holds a value that DICOM does not allow "
            f"({type(error).__name__}); send the study again, or repair it with an editor"
        ) from error


def _of_the_system(error: BaseException) -> bool:
    """Returns whether the system raised it; pydicom's own OSErrors have no number."""
    numbered = isinstance(error, OSError) and error.errno is not None
    return numbered or what_ran_out(error) is not None


def _raised_by_libraries(error: Exception) -> bool:
    """Returns whether the libraries raised the error, called by the project's own code."""
    names = [
        str(frame.f_globals["__name__"]) for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    own = max((i for i, name in enumerate(names) if name.startswith("renalseg.")), default=-1)
    return any(name.partition(".")[0] in _LIBRARIES for name in names[own + 1 :])
