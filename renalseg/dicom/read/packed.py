"""Input other than a folder: a single file, or an archive, unpacked to a temporary folder."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from renalseg.dicom.read.files import MAX_FILES, open_regular
from renalseg.errors import ConfigError, InputError
from renalseg.runtime.harmless import one_line

MAX_BYTES = 16 * 1024**3  # of all files in an archive; the largest CT studies have a quarter
NIFTI = "NIfTI image"
_DICM = slice(128, 132)
_TAR = slice(257, 262)
_CHUNK = 1 << 20
_LONGEST = 200  # bytes of a name; what is longer is replaced by a number
_STARTS = {
    b"PK\x03\x04": "ZIP archive",
    b"PK\x05\x06": "ZIP archive",
    b"\x1f\x8b": "gzip file",
    b"BZh": "bzip2 file",
    b"\xfd7zXZ\x00": "xz file",
    b"7z\xbc\xaf\x27\x1c": "7z archive",
    b"Rar!": "RAR archive",
}
_COMPRESSED_TARS = ("bzip2 file", "xz file", "tar archive")
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)

_Add = Callable[[str, IO[bytes]], None]


def kind_of(path: Path) -> str | None:
    """Name the kind of archive or image that a file is; None for any other."""
    with open_regular(path) as file:
        start = file.read(600)
    if start[_DICM] == b"DICM":
        return None
    # two lengths of headers, in both byte orders, and the sign that follows
    if start[344:347] in (b"n+1", b"ni1") or start[4:7] in (b"n+2", b"ni2"):
        return NIFTI
    if start[_TAR] == b"ustar":
        return "tar archive"
    return next((kind for sign, kind in _STARTS.items() if start.startswith(sign)), None)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Provide the folder or file to read; an archive's content in a temporary folder.

    ZIP and tar archives, compressed or not, and single files that gzip compressed are opened.

    Args:
        path: A folder, a DICOM file or an archive; only read.

    Yields:
        `path` itself, or a temporary folder.

    Raises:
        InputError: It is of another kind, damaged, encrypted, larger than any study, or holds paths
            that lead out of it.
        ConfigError: There is no folder for temporary files.
    """
    if path.is_file():
        path = path.resolve()  # as a folder, it may be a link
    kind = kind_of(path) if path.is_file() else None
    if kind is None:
        yield path
        return
    if kind == NIFTI:
        raise InputError(
            f"expected a NIfTI volume whose name ends in .nii or .nii.gz, found one at {path}: "
            "rename it"
        )
    if kind not in ("ZIP archive", "gzip file", *_COMPRESSED_TARS):
        raise InputError(f"expected DICOM, found a {kind} at {path}: unpack it and give the folder")
    try:
        folder = Path(tempfile.mkdtemp(prefix="renalseg-"))
    except OSError as error:
        raise ConfigError(
            f"Expected a folder for temporary files (TMPDIR) to open {path} in: {error.strerror}"
        ) from error
    try:
        _unpack(path, kind, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(path: Path, kind: str, folder: Path) -> None:
    add = _writer(path, folder)
    try:
        if kind == "ZIP archive":
            _unpack_zip(path, add)
        elif kind == "gzip file" and not _is_tar(path):
            with gzip.open(path) as file:
                add(path.stem, cast(IO[bytes], file))
        else:
            _unpack_tar(path, add)
    except (*_DAMAGE, EOFError) as error:
        raise InputError(
            f"{path}: the {kind} is damaged ({type(error).__name__}): transfer it again"
        ) from error
    inner = next(folder.rglob("*"), None) if kind == "gzip file" else None
    if inner is not None and inner.is_file() and kind_of(inner) == NIFTI:
        with unpacked(inner):  # says what to do
            pass


def _is_tar(path: Path) -> bool:
    try:
        with gzip.open(path) as file:
            return file.read(512)[_TAR] == b"ustar"
    except (*_DAMAGE, EOFError):
        return False


def _unpack_zip(path: Path, add: _Add) -> None:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.flag_bits & 1:
                raise InputError(
                    f"{path}: the ZIP archive is encrypted: unpack it with its password, give the "
                    "folder"
                )
            if not entry.is_dir():
                try:
                    with archive.open(entry) as file:
                        add(entry.filename, file)
                except NotImplementedError as error:
                    raise InputError(f"{path}: {error}: unpack it and give the folder") from error


def _unpack_tar(path: Path, add: _Add) -> None:
    with tarfile.open(path) as archive:
        for entry in archive:
            # links and devices may lead anywhere
            if entry.isreg() and (file := archive.extractfile(entry)) is not None:
                add(entry.name, file)


def _writer(path: Path, folder: Path) -> _Add:
    """Returns a function that writes one file of an archive and counts them."""
    count, total = 0, 0

    def add(name: str, source: IO[bytes]) -> None:
        nonlocal count, total
        count += 1
        if count > MAX_FILES:
            raise InputError(f"{path}: expected at most {MAX_FILES:,} files, found more")
        target = _target(path, folder, name, count)
        with target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                total += len(chunk)
                if total > MAX_BYTES:
                    raise InputError(
                        f"{path}: its files take more than {MAX_BYTES:,} bytes, which no study does"
                    )
                file.write(chunk)

    return add


def _target(path: Path, folder: Path, name: str, number: int) -> Path:
    """Where a file of an archive goes, in the folder and at a place of its own."""
    inner = PurePosixPath(name.replace("\\", "/"))
    if not inner.parts:  # nothing, or a dot
        return folder / f"{number}"
    if inner.is_absolute() or ".." in inner.parts or "\0" in name or ":" in inner.parts[0]:
        raise InputError(
            f"{path}: it holds the path {one_line(name)!r}, which leads out of it; nothing in it "
            "is read"
        )
    parts = [part if len(os.fsencode(part)) <= _LONGEST else f"{number}" for part in inner.parts]
    target = folder.joinpath(*parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):  # a file has the name of the folder
        return folder / f"{number}-{target.name}"
    return target if not target.exists() else folder / f"{number}-{target.name}"
