"""Output folders that hold complete results or nothing, also after a crash or a power cut."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from renalseg.errors import EXIT_FAULT, ConfigError, InputError, exit_code_for
from renalseg.runtime.caches import lent
from renalseg.runtime.sealed import unseal
from renalseg.runtime.staging import Staging, moving, remove_abandoned, sync, sync_all

RESULT_FILE = "result.json"
"""The file that says that all others are there: it comes last and goes first."""

_OLD = "old"
_SCRATCH = "scratch"  # for libraries that find no other folder to write to


def read_result(folder: Path) -> dict[str, Any]:
    """Reads the result file of an output folder.

    Raises:
        InputError: It is missing, unreadable, or lists no studies.
    """
    try:
        result: dict[str, Any] = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Expected {RESULT_FILE} of a run in {folder}: {error}") from error
    studies = result.get("studies") if isinstance(result, dict) else None
    if not isinstance(studies, list) or not all(_is_study(entry) for entry in studies):
        raise InputError(f"Expected a list of studies in {folder / RESULT_FILE}, found none")
    return result


def _is_study(entry: object) -> bool:
    """Returns whether an entry has the form of this program's results."""
    return isinstance(entry, dict) and "finding" in entry


@contextmanager
def complete_or_nothing(
    out_dir: Path, stale: Callable[[], Collection[str]] = tuple
) -> Iterator[Path]:
    """Provides a hidden folder to write to; its content moves to `out_dir` if nothing fails.

    A new `out_dir` appears at once with its content. In an existing one, files of the same names
    are replaced, and `RESULT_FILE` is absent meanwhile. Remains of a killed process are removed
    first; if it was killed while moving files, they are taken back.

    Files that were written by `open_sealed` are unsealed at the end, one right after the other, and
    then get their names: until then no DICOM file of the new result is anywhere in or beside
    `out_dir`.

    Args:
        out_dir: Created if needed, when everything is complete.
        stale: Gives the names of files of an earlier result, which go where the new one has none of
            that name.

    Yields:
        The folder to write to, beside `out_dir` where that can be written to, else in it.

    Raises:
        ConfigError: `out_dir` is no folder, or one that cannot be written to.
        OSError: The disk is full or broken; `out_dir` is then as it was.
    """
    out_dir = out_dir.resolve()
    for place in (out_dir.parent, out_dir):
        remove_abandoned(place, _take_back)
    hidden = _make_hidden(out_dir)
    try:
        with lent(hidden.folder / _SCRATCH):
            yield hidden.files
        sync_all(hidden.files)
        with moving:
            _move(hidden, out_dir, stale)
    finally:
        hidden.remove()


def _make_hidden(out_dir: Path) -> Staging:
    """Creates a folder whose files move to `out_dir` by a rename, never leaving half a file."""
    try:
        if not out_dir.exists():
            out_dir.parent.mkdir(parents=True, exist_ok=True)
            return Staging(out_dir.parent)
        hidden = Staging(out_dir)
    except OSError as error:
        if exit_code_for(error) != EXIT_FAULT:
            raise
        raise ConfigError(
            f"Expected a writable output folder, got {out_dir}: {error.strerror}"
        ) from error
    with suppress(OSError):  # in a container the folder above is often read-only or another mount
        hidden.move_to(out_dir.parent)
    return hidden


def _move(hidden: Staging, out_dir: Path, stale: Callable[[], Collection[str]]) -> None:
    """Puts the files into `out_dir`, all or none."""
    names = sorted(
        (path.name for path in hidden.files.iterdir()), key=lambda n: (n == RESULT_FILE, n)
    )
    if not out_dir.exists():
        _unseal_all(hidden.files, names)
        sync_all(hidden.files)
        with suppress(OSError):  # somebody else was quicker
            hidden.files.rename(out_dir)
            sync(out_dir.parent)
            return
        out_dir.mkdir(exist_ok=True)
    gone = sorted(set(stale()) - set(names))
    target = "" if hidden.folder.parent == out_dir else out_dir.name
    hidden.note(json.dumps({"target": target, "names": names, "gone": gone}))
    try:
        _replace(hidden.folder, out_dir, names, gone)
    except BaseException:
        _undo(hidden.folder, out_dir, names, gone)
        raise


def _replace(hidden: Path, out_dir: Path, names: Sequence[str], gone: Sequence[str]) -> None:
    old, files = hidden / _OLD, hidden / "files"
    old.mkdir()
    for name in (*reversed(names), *gone):
        if os.path.lexists(out_dir / name):
            (out_dir / name).rename(old / name)
    # Nothing slow comes between the two: a kill here may part a result, though never a file.
    _unseal_all(files, names)
    for name in names[:-1]:
        (files / name).rename(out_dir / name)
    for name in names[:-1]:
        sync_all(out_dir / name)
    sync(out_dir)  # the others are there for good before the last one is
    for name in names[-1:]:
        (files / name).rename(out_dir / name)
    sync(out_dir)


def _unseal_all(folder: Path, names: Sequence[str]) -> None:
    unseal(*(folder / name for name in names if (folder / name).is_file()))


def _take_back(hidden: Path, note: str) -> None:
    """Takes back the files of a killed process that had not moved all of them."""
    if not note:
        return
    content = json.loads(note)
    names = [name for name in content["names"] if Path(name).name == name]
    gone = [name for name in content.get("gone", ()) if Path(name).name == name]
    target = Path(content["target"]).name
    _undo(hidden, hidden.parent / target, names, gone)


def _undo(hidden: Path, out_dir: Path, names: Sequence[str], gone: Sequence[str]) -> None:
    files, old = hidden / "files", hidden / _OLD
    # The last file is there: all were moved, or another process has put its own results there.
    if not names or os.path.lexists(out_dir / names[-1]):
        return
    for name in names:
        if not os.path.lexists(files / name):
            _delete(out_dir / name)
    for name in (*gone, *names):
        if os.path.lexists(old / name):
            (old / name).rename(out_dir / name)
    sync(out_dir)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
