"""Reads the parts of a Dockerfile that tests look at."""

from __future__ import annotations

import re
import shlex
from pathlib import Path


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instruction and argument of each line, comments left out and continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    pairs = (line.split(None, 1) for line in joined.splitlines() if line.strip())
    return [(name.upper(), argument) for name, argument in pairs]


def variables(path: Path, kind: str) -> dict[str, str]:
    """Names and values of all instructions of a kind: ENV, LABEL, or ARG that have a default."""
    return {
        name: value
        for found, argument in instructions(path)
        if found == kind
        for name, equals, value in (word.partition("=") for word in shlex.split(argument))
        if equals
    }
