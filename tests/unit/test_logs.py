"""What one test does to the log of the process is gone before the next one."""

from __future__ import annotations

import io
import logging
from logging.config import fileConfig
from pathlib import Path

from tests.factories.logs import log_as_before

LOGGING = Path(__file__).parents[2] / "bundles" / "tumor_sehdc" / "configs" / "logging.conf"


class Owner(logging.StreamHandler):  # type: ignore[type-arg]
    """Closes its stream, as the handler of absl does."""

    def close(self) -> None:
        self.stream.close()
        super().close()


def test_the_log_of_a_bundle_is_gone_after_the_test() -> None:
    ours, level = logging.getLogger("renalseg.of_a_test"), logging.root.level
    ours.setLevel(logging.DEBUG)
    handlers = logging.root.handlers[:]
    with log_as_before():
        fileConfig(LOGGING)
        ours.setLevel(logging.ERROR)
        assert ours.disabled
        assert logging.root.level == logging.INFO != level
        assert logging.root.handlers != handlers
        logging.getLogger("renalseg.new_in_it").disabled = True
    assert (ours.disabled, ours.level) == (False, logging.DEBUG)
    assert logging.root.level == level
    assert logging.root.handlers == handlers
    assert not logging.getLogger("renalseg.new_in_it").disabled


def test_a_handler_from_before_keeps_its_stream() -> None:
    stream = io.StringIO()
    handler = Owner(stream)
    with log_as_before():
        fileConfig(LOGGING)
    assert not stream.closed
    handler.close()
