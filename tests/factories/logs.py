"""The log of the process, which a test may configure and the next one finds as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock


@contextmanager
def log_as_before() -> Iterator[None]:
    """Undoes what configures the log of the whole process in the meantime, and closes no handler.

    MONAI applies a bundle's logging.conf by `logging.config.fileConfig`. That gives the root a
    handler on the standard error of the moment, disables every logger, and shuts down every
    handler. The handler of absl, which OpenVINO imports, then closes the stream that was standard
    error at its import, if another one is by now. In a test with `capsys` the first is the file in
    which pytest captures all output, so every later test of the process would fail.
    """
    levels = {logger: logger.level for logger in _loggers()}
    disabled = {logger for logger in levels if logger.disabled}
    handlers = logging.root.handlers[:]
    try:
        with mock.patch.object(logging, "shutdown"):
            yield
    finally:
        logging.root.handlers[:] = handlers
        for logger in _loggers():
            logger.disabled = logger in disabled
            if logger.level != levels.get(logger, logger.level):
                logger.setLevel(levels[logger])


def _loggers() -> list[logging.Logger]:
    known = logging.root.manager.loggerDict.values()
    return [logging.root, *(each for each in known if isinstance(each, logging.Logger))]
