"""The log on standard error: lines for people, or on request JSON for programs.

In JSON each line is an object: time (UTC), level, event, message, and fields of the event, such as
stage, seconds, study, exit_code. `study` is a salted hash of the StudyInstanceUID, or of the name
of a volume, and messages contain neither UIDs nor names of input files.
"""

from __future__ import annotations

import json
import logging
import os
import re
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

_UID = re.compile(r"\d+(\.\d+)+")
_WARNING = "Warning: "
_FORMS = {"": False, "text": False, "json": True}  # values of `VARIABLE`
_context: dict[str, Any] = {}  # of every line of the process
_own = threading.local()  # .context: of lines of a thread, which go before
_input: Path | None = None
_json = False
_names: dict[str, str] = {}  # of volumes that were studies, and their hashes


def start(*, as_json: bool = False, folder: Path | None = None) -> None:
    """Configures the log of this process.

    Args:
        as_json: Whether to write JSON; `VARIABLE` can request it, too.
        folder: The input; its files' names do not appear in JSON.

    Raises:
        ConfigError: `VARIABLE` names neither text nor JSON.
    """
    global _json, _input
    form = os.environ.get(VARIABLE, "").strip().lower()
    if form not in _FORMS:
        raise ConfigError(f"Expected text or json for {VARIABLE}, got {os.environ[VARIABLE]!r}")
    _json = as_json or _FORMS[form]
    _input = folder
    _context.clear()
    _names.clear()
    if not _json:
        # Level of the libraries' log for people by default.
        if logging.lastResort is not None:
            logging.lastResort.setFormatter(_OneLine())
    else:
        warnings.showwarning = _show_warning
        logging.basicConfig(handlers=[_Handler(logging.WARNING)], force=True)


def in_json() -> bool:
    """Returns whether lines are JSON."""
    return _json


@contextmanager
def about_study(uid: str | None) -> Iterator[None]:
    """Adds the hash of a study to JSON lines of all threads in the meantime.

    Args:
        uid: StudyInstanceUID, or the name of a volume; without one the lines have none.
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
    """Like `about_study`, but only for lines of this thread."""
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
        if not _UID.fullmatch(uid):  # which `redact` knows
            _names[uid] = context["study"]
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
        message: Replaces it in JSON if the text holds a name that must not appear there.
        event: What happened, in JSON.
        level: info, warning or error.
        fields: Further fields of the event, in JSON.
    """
    if _json:
        if text.startswith(_WARNING):
            text, event, level = text.removeprefix(_WARNING), "warning", "warning"
        note(event, level, message=text if message is None else message, **fields)
    else:
        _write(one_line(text))


def note(event: str, level: str = "info", **fields: Any) -> None:
    """Writes a line in JSON only."""
    if not _json:
        return
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    own = getattr(_own, "context", None)
    context = _context if own is None else own
    line = {"time": now, "level": level, "event": event, **context, **fields}
    _write(json.dumps({key: _clean(value) for key, value in line.items()}))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        text = redact(value, _input)
        for name, hashed in list(_names.items()):
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", f"study:{hashed}", text)
        return text
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
    """Writes what libraries log as JSON lines."""

    def emit(self, record: logging.LogRecord) -> None:
        note("log", record.levelname.lower(), logger=record.name, message=record.getMessage())


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if not called_by_dicom():
        note("warning", "warning", message=str(message), category=category.__name__)
