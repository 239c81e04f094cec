"""Progress on the terminal: stages, and bars if someone is watching."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from renalseg.runtime import log


def announce(text: str) -> None:
    """Writes a line to standard error; the prefix "Warning: " sets its level in a JSON log."""
    log.say(text)


def bar_wanted() -> bool:
    """Returns whether to show bars: standard error is a terminal, and the log is not JSON."""
    return sys.stderr.isatty() and not log.in_json()


@contextmanager
def steps(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar.

    Args:
        unit: What is counted.

    Yields:
        A function that takes the number done and the total.
    """
    with tqdm(unit=unit, disable=not bar_wanted(), leave=False) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update
