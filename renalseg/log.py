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
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from renalseg.privacy import called_by_dicom, hash_uid, redact

VARIABLE = "RENALSEG_LOG"
"""Environment variable; "json" asks for JSON."""

_WARNING = "Warning: "
_context: dict[str, Any] = {}
_input: Path | None = None
_json = False


def start(*, as_json: bool = False, folder: Path | None = None) -> None:
    """Settles what the lines of this process are.

    Args:
        as_json: JSON, which `VARIABLE` asks for too.
        folder: The input, whose files' names are not said in JSON.
    """
    global _json, _input
    _json = as_json or os.environ.get(VARIABLE) == "json"
    _input = folder
    _context.clear()
    if _json:
        warnings.showwarning = _show_warning
        logging.basicConfig(handlers=[_Handler(logging.WARNING)], force=True)


def in_json() -> bool:
    """Whether lines are JSON."""
    return _json


def bind_study(uid: str | None) -> None:
    """Says which study is worked on; every line in JSON then has its hash.

    Args:
        uid: StudyInstanceUID, or None after the study.
    """
    _context.pop("study", None)
    if uid:
        _context["study"] = hash_uid(uid)


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
        _write(text)


def note(event: str, level: str = "info", **fields: Any) -> None:
    """Writes a line in JSON, and none for people."""
    if not _json:
        return
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"time": now, "level": level, "event": event, **_context, **fields}
    _write(json.dumps({key: _clean(value) for key, value in line.items()}))


def _clean(value: Any) -> Any:
    return redact(value, _input) if isinstance(value, str) else value


def _write(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class _Handler(logging.Handler):
    """What the libraries log, as lines in JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        note("log", record.levelname.lower(), logger=record.name, message=record.getMessage())


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if not called_by_dicom():
        note("warning", "warning", message=str(message), category=category.__name__)
