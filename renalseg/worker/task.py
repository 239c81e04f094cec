"""What the worker runs on a series, and what it does with the results."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass

from renalseg.errors import ConfigError

_OWN = (sys.executable, "-P", "-m", "renalseg.commands.main")
DEFAULT_COMMAND = shlex.join((*_OWN, "run")) + " {input} {output}"
MEASURE = (*_OWN, "measure", "{input}", "{edited}", "{output}", "--result", "{earlier}")
COMPARE = (*_OWN, "compare", "{prior}", "{output}", "{compared}", "--now-ct", "{input}")
PRIOR_CT = ("--prior-ct", "{prior_ct}")  # more of `COMPARE`, where that CT is still there


@dataclass(frozen=True)
class Task:
    """Settings for the work on every series.

    Attributes:
        command: Program and arguments; ``{input}`` and ``{output}`` stand for the folders.
        timeout: Seconds after which a program is ended.
        forward: Targets that the server sends the results to.
        delete_superseded: Whether results are deleted in the server once newer ones are there.
        measure: Program that measures a segmentation that a person edited.
        compare: Program that compares a result with the one before it of the patient; none if
            empty.
    """

    command: tuple[str, ...]
    timeout: float = 3600.0
    forward: tuple[str, ...] = ()
    delete_superseded: bool = False
    measure: tuple[str, ...] = MEASURE
    compare: tuple[str, ...] = COMPARE

    @staticmethod
    def parse(command: str) -> tuple[str, ...]:
        """Splits a command as a shell does.

        Raises:
            ConfigError: It lacks the placeholders of the folders.
        """
        parts = tuple(shlex.split(command))
        if not all(any(name in part for part in parts) for name in ("{input}", "{output}")):
            raise ConfigError(
                f"Expected a command with {{input}} and {{output}} in it, got {command!r}"
            )
        return parts
