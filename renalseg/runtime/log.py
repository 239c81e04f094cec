"""What a run says on standard error: lines for people, or on request JSON for programs.

In JSON each line is an object: time (UTC), level, event, message, and what belongs to the event,
such as stage, seconds, study, exit_code. There `study` is a salted hash of the StudyInstanceUID,
and no UID and no name of an input file is in a message.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError
from renalseg.runtime.harmless import one_line
from renalseg.runtime.privacy import called_by_dicom, hash_uid, redact

VARIABLE = "RENALSEG_LOG"
"""Environment variable; "json" asks for JSON."""

_WARNING = "Warning: "
_FORMS = {"": False, "text": False, "json": True}  # what `VARIABLE` may say
_context: dict[str, Any] = {}  # of every line of the process
_own = threading.local()  # .context: of lines of a thread, which go before
_input: Path | None = None
_json = False


def start(*, as_json: bool = False, folder: Path | None = None) -> None:
    """Settles what the lines of this process are.

    Args:
        as_json: JSON, which `VARIABLE` asks for too.
        folder: The input, whose files' names are not said in JSON.

    Raises:
        ConfigError: `VARIABLE` asks for neither text nor JSON.
    """
    global _json, _input
    form = os.environ.get(VARIABLE, "").strip().lower()
    if form not in _FORMS:
        raise ConfigError(f"Expected text or json for {VARIABLE}, got {os.environ[VARIABLE]!r}")
    _json = as_json or _FORMS[form]
    _input = folder
    _context.clear()
    if not _json:
        # What the libraries log for people, where nobody has asked for more.
        if logging.lastResort is not None:
            logging.lastResort.setFormatter(_OneLine())
    else:
        warnings.showwarning = _show_warning
        logging.basicConfig(handlers=[_Handler(logging.WARNING)], force=True)


def in_json() -> bool:
    """Whether lines are JSON."""
    return _json


@contextmanager
def about_study(uid: str | None) -> Iterator[None]:
    """Gives the lines in JSON that are written meanwhile, by any thread, the hash of a study.

    Args:
        uid: StudyInstanceUID; without one the lines have none.
    """
    before = dict(_context)
    _bind(_context, uid)
    try:
        yield
    finally:
        _context.clear()
        _context.update(before)


@contextmanager
def thread_about_study(uid: str | None) -> Iterator[None]:
    """As `about_study`, for the lines of this thread alone, where others work on other studies."""
    before = getattr(_own, "context", None)
    _own.context = _bind({}, uid)
    try:
        yield
    finally:
        _own.context = before


def _bind(context: dict[str, Any], uid: str | None) -> dict[str, Any]:
    context.pop("study", None)
    if uid:
        context["study"] = hash_uid(uid)
    return context


def say(
    text: str,
    event: str = "message",
    level: str = "info",
    *,
    message: str | None = None,
    **fields: Any,
) -> None:
    """Writes a line.

    Args:
        text: For people.
        message: Instead of it in JSON, where the text holds a name that must not be there.
        event: What happened, in JSON.
        level: info, warning or error.
        fields: What belongs to the event, in JSON.
    """
    if _json:
        if text.startswith(_WARNING):
            text, event, level = text.removeprefix(_WARNING), "warning", "warning"
        note(event, level, message=text if message is None else message, **fields)
    else:
        _write(one_line(text))


def note(event: str, level: str = "info", **fields: Any) -> None:
    """Writes a line in JSON, and none for people."""
    if not _json:
        return
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    own = getattr(_own, "context", None)
    context = _context if own is None else own
    line = {"time": now, "level": level, "event": event, **context, **fields}
    _write(json.dumps({key: _clean(value) for key, value in line.items()}))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value, _input)
    if isinstance(value, Mapping):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    return [_clean(inner) for inner in value] if isinstance(value, list | tuple) else value


def _write(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class _OneLine(logging.Formatter):
    """A message that may quote a header."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


class _Handler(logging.Handler):
    """What the libraries log, as lines in JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        note("log", record.levelname.lower(), logger=record.name, message=record.getMessage())


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if not called_by_dicom():
        note("warning", "warning", message=str(message), category=category.__name__)
