"""Files that no program can mistake for DICOM before they are complete.

A program that watches an output folder may open every file in it, hidden or not. So the start of a
file is written inverted, and restored when all files of a result are complete and about to get
their names. A process that is killed earlier leaves nothing readable.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

HEAD = 4096
"""Bytes that are inverted: preamble, file meta information and the first attributes."""

_INVERTED = bytes(range(255, -1, -1))
_MAGIC = slice(128, 132)


@contextmanager
def open_sealed(path: Path) -> Iterator[BinaryIO]:
    """Opens a new file that stays unreadable until it is unsealed.

    Args:
        path: The file.

    Yields:
        A buffer for the content of the unsealed file.

    Raises:
        OSError: It cannot be written.
    """
    with io.BufferedWriter(_Sealed(path, "wb")) as file:
        yield file


def unseal(*paths: Path) -> None:
    """Restores the starts of files in place; unsealed files are unchanged.

    All slow work precedes the first write. Only in the few microseconds between the first and the
    last could a kill leave some of them readable.

    Raises:
        OSError: A file cannot be written.
    """
    with ExitStack() as stack:
        sealed: list[tuple[io.FileIO, bytes]] = []
        for path in paths:
            file = stack.enter_context(path.open("r+b", buffering=0))
            head = (file.read(HEAD) or b"").translate(_INVERTED)
            if head[_MAGIC] == b"DICM":
                file.seek(0)
                sealed.append((file, head))
        for file, head in sealed:
            file.write(head)


class _Sealed(io.FileIO):
    """A raw file whose first bytes are written inverted."""

    def write(self, data: Any, /) -> int:
        """Writes bytes and returns how many; the caller passes the rest again."""
        inverted = HEAD - self.tell()
        if inverted > 0:
            data = bytes(data[:inverted]).translate(_INVERTED)
        return super().write(data)
