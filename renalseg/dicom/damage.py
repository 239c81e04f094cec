"""Damage that only shows when a value of a header is used.

pydicom parses a value when it is asked for, and highdicom checks one when it copies it: both then
raise errors of many kinds, wherever the code is that asked. Each means the same, a header that
cannot be used. Errors that are raised in the project's own lines stay what they are.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from renalseg.errors import InputError, RenalSegError, causes, what_ran_out

_LIBRARIES = ("pydicom", "highdicom")


@contextmanager
def damage_refused(what: str) -> Iterator[None]:
    """Refuses the input where the DICOM libraries cannot make sense of it; also a decorator.

    Args:
        what: What could not be done, for the message.

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
    """Such as a full disk; pydicom itself raises errors of this type too, without a number."""
    numbered = isinstance(error, OSError) and error.errno is not None
    return numbered or what_ran_out(error) is not None


def _raised_by_libraries(error: Exception) -> bool:
    """Whether the libraries were called last by the project's own code, and raised the error."""
    names = [
        str(frame.f_globals["__name__"]) for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    own = max((i for i, name in enumerate(names) if name.startswith("renalseg.")), default=-1)
    return any(name.partition(".")[0] in _LIBRARIES for name in names[own + 1 :])
