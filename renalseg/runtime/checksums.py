"""Checksums of a folder's files, in the format of ``sha256sum -c SHA256SUMS``."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from renalseg.errors import ConfigError
from renalseg.runtime.staging import complete_file

MANIFEST = "SHA256SUMS"
METHODS, RECIPES = "methods", "recipes"  # the folders next to the bundles that are no bundles
_PARTS = ("configs", "models")  # of a bundle: what runs


def write_manifest(folder: Path, parts: Iterable[str] = _PARTS) -> Path:
    """Writes the checksums of files at any depth in some parts of a folder.

    Args:
        folder: Such as a bundle.
        parts: Names of folders in it, or "." for all of it.

    Returns:
        The manifest.

    Raises:
        ConfigError: There are no such files.
    """
    names = sorted(_names(folder, parts))
    if not names:
        raise ConfigError(f"Expected files in {', '.join(parts)} of {folder}, found none")
    lines = "".join(f"{sha256_of(folder / name)}  {name}\n" for name in names)
    with complete_file(folder / MANIFEST) as file:
        file.write_bytes(lines.encode())  # the same on every system
    return folder / MANIFEST


def renew_manifest(folder: Path) -> Path | None:
    """Updates an existing manifest after a file of a bundle changed."""
    return write_manifest(folder) if (folder / MANIFEST).is_file() else None


def check_manifest(folder: Path, parts: Iterable[str] = _PARTS) -> bool:
    """Compares the files of a folder with its manifest.

    Args:
        folder: Such as a bundle.
        parts: As for `write_manifest`.

    Returns:
        False if there is no manifest to compare with.

    Raises:
        ConfigError: A file is missing, not in the manifest or different, or the manifest is broken;
            the message names the file.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return False
    wanted = dict(_lines(path))
    for name in sorted(_names(folder, parts) | wanted.keys()):
        if name not in wanted:
            raise ConfigError(f"{folder / name} is not in {path}: {_ADVICE}")
        found = sha256_of(folder / name) if (folder / name).is_file() else "no file"
        if found != wanted[name]:
            raise ConfigError(
                f"{folder / name} is not the file that {path} was made of: expected SHA-256 "
                f"{wanted[name]}, found {found}; {_ADVICE}"
            )
    return True


def add_checksums_command(commands: Any) -> argparse.ArgumentParser:
    """Adds ``renalseg manifest`` to the subcommands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "manifest", help=f"write {MANIFEST} of bundles, or check it"
    )
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE", help="folder")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.set_defaults(action=_run)
    return parser


_ADVICE = "copy the bundle again or, if you changed it, run `renalseg manifest` on it"


def _run(options: argparse.Namespace) -> None:
    from renalseg.runtime.progress import announce

    for bundle in options.bundles:
        if bundle.name in (METHODS, RECIPES) and not (bundle / "configs").is_dir():
            continue  # lets bundles/* be given; methods and recipes are meant to be edited
        if not options.check:
            announce(str(write_manifest(bundle)))
        elif not check_manifest(bundle):
            raise ConfigError(f"Expected {MANIFEST} in {bundle}, found none")
        else:
            announce(f"{bundle}: all files are as {MANIFEST} says")


def _names(folder: Path, parts: Iterable[str]) -> set[str]:
    paths = (path for part in parts for path in (folder / part).rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix() for path in paths}
    return names - {MANIFEST}


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yields name and digest of each line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Expected checksums in {path}, which cannot be read: {error}") from error
    for line in lines:
        digest, _, name = line.partition("  ")
        parts = PurePosixPath(name).parts
        if len(digest) != 64 or not parts or ".." in parts or PurePosixPath(name).is_absolute():
            raise ConfigError(f"Expected lines of digest and name in {path}, found {line!r}")
        yield name, digest


def sha256_of(path: Path) -> str:
    """Returns the hash of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
