"""Output folders that hold complete results or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".renalseg-"


@contextmanager
def complete_or_nothing(out_dir: Path) -> Iterator[Path]:
    """Gives a hidden folder to write to; what is in it moves to `out_dir` if nothing fails.

    Args:
        out_dir: Made if it is not there; files of the same names are replaced.

    Yields:
        The folder to write to, beside `out_dir` where that can be written to, else in it.

    Raises:
        OSError: The folders or files cannot be written; `out_dir` then gets nothing.
    """
    out_dir = out_dir.resolve()
    out_dir.mkdir(parents=True, exist_ok=True)
    hidden = _make_hidden(out_dir)
    try:
        yield hidden
        for path in sorted(hidden.iterdir()):
            path.replace(out_dir / path.name)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _make_hidden(out_dir: Path) -> Path:
    """A folder from which a file moves to `out_dir` by a rename, which never leaves half a file."""
    hidden = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=out_dir))
    try:
        return hidden.rename(out_dir.parent / hidden.name)
    except OSError:  # in a container the folder above is often read-only or another mount
        return hidden
