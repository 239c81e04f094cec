"""Keeps patient data out of messages, logs and tracebacks.

The libraries that read and write DICOM quote values of headers in their warnings and errors. The
project's own messages never do, so they are shown. Others are shown only if they cannot quote a
header.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import sys
import traceback
import warnings
from functools import cache
from pathlib import Path
from typing import TextIO

from renalseg.errors import RenalSegError, causes, what_ran_out
from renalseg.runtime.harmless import one_line

SALT = "RENALSEG_LOG_SALT"
"""Environment variable: with the same salt a study has the same hash in every log."""

HIDDEN = "(not shown: it may quote a patient's data)"

_LIBRARIES = ("pydicom", "highdicom")
# Parts of the project that see no header: messages raised there may be shown.
_WITHOUT_HEADERS = tuple(
    f"renalseg.{name}"
    for name in (
        *("accuracy", "benchmark", "bundle", "checksums", "components", "cuda_runtime", "data"),
        *("engine", "geometry", "grids", "imports", "inferers", "models", "networks"),
        *("process", "results.output", "results.staging", "settings", "slice_inferers"),
        *("synthesis", "training"),
        "transforms",
    )
)
# Messages about missing packages and memory hold module names and numbers of bytes.
_OF_THE_SYSTEM = (ImportError, MemoryError, RecursionError)
# Packages whose errors name commands, tables and files.
_ELSEWHERE = frozenset({"sqlite3", "subprocess", "zipfile", "tarfile", "tempfile", "shutil"})
# Names and types, no values; the DICOM libraries also raise these themselves, with values.
_OF_THE_INTERPRETER = (AttributeError, NameError, IndexError, TypeError, ArithmeticError)
# Four parts or more; or three, if one is longer than that of a version; or a UUID (PS3.5 B.2).
_UID = re.compile(
    r"(?<!\d)(?:[0-2](?:(?:\.\d+){3,}|\.\d{6,}\.\d+|\.\d+\.\d{6,})|2\.25\.\d+)(?![\d.]*\d)"
)


def hash_uid(uid: str) -> str:
    """Hashes a UID so that it cannot be recovered without the salt.

    Args:
        uid: Such as a StudyInstanceUID.

    Returns:
        16 hexadecimal digits, which differ between processes unless `SALT` is set.
    """
    return hashlib.blake2b(uid.encode(), key=_salt(), digest_size=8).hexdigest()


def redact(text: str, folder: Path | None = None) -> str:
    """Replaces what identifies a study: UIDs, and the names of files.

    Args:
        text: A message.
        folder: The input; existing paths in it are replaced by hashes, because files are often
            named after patients.
    """
    if folder is not None:
        for root in dict.fromkeys((str(folder), str(folder.resolve()))):
            text = _redact_paths(text, root)
    return _UID.sub(lambda found: f"uid:{hash_uid(found[0])}", text)


def hide_header_values() -> None:
    """Silences the DICOM libraries, whose warnings and logs quote values."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    show = warnings.showwarning
    if getattr(show, "is_harmless", False):
        return

    def show_if_harmless(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not called_by_dicom():
            show(message, category, filename, lineno, file, line)

    show_if_harmless.is_harmless = True  # type: ignore[attr-defined]
    warnings.showwarning = show_if_harmless


def called_by_dicom() -> bool:
    """Returns whether code that handles headers is among the callers."""
    frame = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name.partition(".")[0] in _LIBRARIES or name.startswith("renalseg.dicom"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def message_of(error: BaseException) -> str:
    """Returns an error's message on one line, or a substitute if it may quote a header."""
    return one_line(_message_of(error))


def _message_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, RenalSegError) or _quotes_nothing(error):
        return str(error)
    return f"{type(error).__name__} {HIDDEN}"


def reason_of(error: BaseException) -> str:
    """Returns the final message for an error that ended the program.

    Names an exhausted resource even if the message itself must not be shown.
    """
    message = message_of(error) or type(error).__name__
    ran_out = _what_ran_out(error)
    if not ran_out:
        return message
    return ran_out if HIDDEN in message else f"{ran_out} ({' '.join(message.split())})"


def _what_ran_out(error: BaseException) -> str | None:
    for cause in causes(error):
        if isinstance(cause, RenalSegError):
            return None  # its message says so
        if text := what_ran_out(cause):
            return text
    return None


def format_traceback(error: BaseException) -> str:
    """Formats the traceback of an error and its causes without messages that may quote a header."""
    parts = []
    for cause in causes(error, implicit=True):
        name = type(cause).__qualname__
        lines = "".join(traceback.format_tb(cause.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{lines}{name}: {message_of(cause)}\n")
    return "\nThat is why:\n\n".join(reversed(parts))


@cache
def _salt() -> bytes:
    chosen = os.environ.get(SALT, "")
    return hashlib.blake2b(chosen.encode()).digest() if chosen else secrets.token_bytes(32)


def _redact_paths(text: str, root: str) -> str:
    """Replaces each existing path within a folder."""
    parts = text.split(root)
    for index, rest in enumerate(parts[1:], start=1):
        ends = (end for end in range(len(rest), 0, -1) if _exists(root + rest[:end]))
        end = next(ends, 0) if rest.startswith(os.sep) else 0
        name = f"/file:{hash_uid(rest[:end])}" if rest[:end].strip(os.sep) else ""
        parts[index] = name + rest[end:]
    return "<input>".join(parts)


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False


def _quotes_nothing(error: BaseException) -> bool:
    """Returns whether a message cannot hold a header value, by its type or its origin."""
    if isinstance(error, _OF_THE_SYSTEM) or type(error).__module__ in _ELSEWHERE:
        return True
    trace = error.__traceback__
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(trace)]
    if any(name.partition(".")[0] in _LIBRARIES for name in modules):
        return False
    if isinstance(error, _OF_THE_INTERPRETER):
        return True
    own = [name for name in modules if name.startswith("renalseg.")]
    return not own or own[-1].startswith(_WITHOUT_HEADERS)
