"""Files that no program can take for DICOM before they are complete.

What watches or collects an output folder may look into every folder and open every file, hidden or
not. So the start of a file is written inverted, and set right when all files of a result are
complete and about to get their names. A process that is killed before leaves nothing readable.
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
    """Opens a new file that is unreadable until it is unsealed.

    Args:
        path: The file.

    Yields:
        A buffer to write to, as to any other; its content is that of the unsealed file.

    Raises:
        OSError: It cannot be written.
    """
    with io.BufferedWriter(_Sealed(path, "wb")) as file:
        yield file


def unseal(*paths: Path) -> None:
    """Sets the starts of files right, in place; one that is not sealed stays as it is.

    All that takes time comes before the first of them is readable: between the first and the last
    lie a few microseconds, in which a kill would leave a part of them.

    Raises:
        OSError: One cannot be written.
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
    """A file of which the first bytes are written inverted."""

    def write(self, data: Any, /) -> int:
        """Writes bytes, and gives how many; a caller passes the rest again, as to any raw file."""
        inverted = HEAD - self.tell()
        if inverted > 0:
            data = bytes(data[:inverted]).translate(_INVERTED)
        return super().write(data)
