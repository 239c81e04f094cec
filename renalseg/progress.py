"""What a run shows on the terminal: its stages, and bars where one is looking."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


def announce(text: str) -> None:
    """Writes a line to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def bar_wanted() -> bool:
    """Whether somebody looks: standard error is a terminal."""
    return sys.stderr.isatty()


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
