"""What a run shows on the terminal: its stages, and bars where one is looking."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from renalseg.runtime import log


def announce(text: str) -> None:
    """Writes a line to standard error; "Warning: " in front makes it one in a log of JSON."""
    log.say(text)


def bar_wanted() -> bool:
    """Whether somebody looks: standard error is a terminal, and no log of JSON."""
    return sys.stderr.isatty() and not log.in_json()


@contextmanager
def steps(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar.

    Args:
        unit: What is counted.

    Yields:
        A function that takes how many are done, and of how many.
    """
    with tqdm(unit=unit, disable=not bar_wanted(), leave=False) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update
