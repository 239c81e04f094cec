"""The commands that a document shows, in its fenced or indented blocks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    text = path.read_text(encoding="utf-8")
    return [body for found, body in _BLOCK.findall(text) if found == language]


def commands_of(path: Path) -> list[list[str]]:
    """The words of each command in the shell blocks, without comments, assignments and `cd`."""
    found = []
    for block in blocks_of(path, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                found.append(words)
    return found


def indented_commands_of(path: Path, *programs: str) -> list[list[str]]:
    """The words of each command of some programs in the indented blocks, without comments."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    found = [shlex.split(line, comments=True) for line in lines]
    return [words for words in found if words and words[0] in programs]
