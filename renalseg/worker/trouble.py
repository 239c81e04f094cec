"""Conditions that the worker waits for, each logged once at its begin and end."""

from __future__ import annotations

import logging
import threading

_log = logging.getLogger(__name__)


class Trouble:
    """Keeps what is in the way, so that a log holds one line and not one for each try."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[str, type[BaseException]] = {}

    def begins(self, what: str, error: BaseException) -> None:
        """Notes that something is in the way; says so where it was not, or in another way."""
        with self._lock:
            known = self._kinds.get(what)
            self._kinds[what] = type(error)
        if known is not type(error):
            _log.warning("waiting for %s: %s", what, error or type(error).__name__)

    def is_over(self, what: str) -> None:
        """Notes that something is no longer in the way; says so if it was."""
        with self._lock:
            known = self._kinds.pop(what, None)
        if known is not None:
            _log.info("%s is well again", what)

    def any(self) -> bool:
        """Whether anything is in the way."""
        with self._lock:
            return bool(self._kinds)
