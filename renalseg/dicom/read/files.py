"""The files of a folder, at any depth, without ever leaving it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from renalseg.errors import InputError

LINK_OUT = "link that leads out of the folder"
LINK_WITHIN = "link to a place in the folder"
SPECIAL = "special file"
NO_PERMISSION = "no permission to read"
MAX_FILES = 20_000
"""In one folder. Each header takes 30 kB of memory, and no study has half as many slices."""


class TooManyError(InputError):
    """A folder holds more than one study can."""


@dataclass(frozen=True)
class Listing:
    """Content of a folder.

    Attributes:
        files: The regular files, in the order of their paths.
        skipped: Paths that are never opened, with reasons.
        refused: Paths that could not be read, with reasons.
        digest: SHA-256 over the names and sizes of the files: it changes when files are added or
        removed.
    """

    files: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]
    refused: tuple[tuple[Path, str], ...]
    digest: str = ""


def list_files(folder: Path) -> Listing:
    """List a folder at any depth.

    Links are not followed: targets within the folder are found at their own place, and targets
    outside are not part of the input. The folder itself may be a link.

    Args:
        folder: Folder to look into, or a single file.

    Raises:
        InputError: If there is no such folder.
        TooManyError: If it holds more than `MAX_FILES` files.
    """
    if folder.is_file():
        size = folder.stat().st_size
        return Listing((folder,), (), (), _digest(folder.parent, {folder: size}))
    if not folder.is_dir():
        raise InputError(f"expected a folder or a file, found none at {folder}")
    files: dict[Path, int] = {}
    skipped: list[tuple[Path, str]] = []
    refused: list[tuple[Path, str]] = []
    root = folder.resolve()

    def closed(error: OSError) -> None:
        refused.append((Path(error.filename), NO_PERMISSION))

    for place, folders, names in os.walk(folder, onerror=closed):
        for name in (*names, *folders):
            path = Path(place, name)
            status = path.lstat()
            mode = status.st_mode
            if stat.S_ISLNK(mode):
                within = path.resolve().is_relative_to(root)
                skipped.append((path, LINK_WITHIN if within else LINK_OUT))
            elif stat.S_ISREG(mode):
                files[path] = status.st_size
            elif not stat.S_ISDIR(mode):
                skipped.append((path, SPECIAL))
        if len(files) > MAX_FILES:
            raise TooManyError(
                f"expected the files of one patient in {folder}, at most {MAX_FILES:,}, found "
                "more; give each study's own folder, or a folder of such folders to archive"
            )
    digest = _digest(folder, files)
    return Listing(tuple(sorted(files)), tuple(sorted(skipped)), tuple(sorted(refused)), digest)


def _digest(folder: Path, sizes: Mapping[Path, int]) -> str:
    """Hash the names of files in a folder, and their sizes."""
    digest = hashlib.sha256()
    for path in sorted(sizes):
        relative = os.fsencode(path.relative_to(folder))
        digest.update(b"%d %d " % (len(relative), sizes[path]) + relative)
    return digest.hexdigest()


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading, but never a link or pipe that has replaced it.

    Raises:
        OSError: If it cannot be opened or is no regular file.
    """
    with open(path, "rb", opener=_open_no_link) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"expected a regular file at {path}")
        yield file


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
