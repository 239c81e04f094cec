"""Text that a program keeps up to date within a Markdown document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from renalseg.errors import ConfigError


def marks(name: str) -> tuple[str, str]:
    """The marks before and after the text of a name."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def check_marks(path: Path, name: str) -> None:
    """Refuses a document without a place for a text before an hour is spent on the text.

    Raises:
        ConfigError: It exists, but does not hold each mark once, in order.
    """
    if path.is_file():
        _split(path, name)


def put_between(path: Path, name: str, text: str) -> None:
    """Puts text between the marks of a document, or creates a document with only that text.

    Raises:
        ConfigError: As `check_marks`.
    """
    before, after = _split(path, name) if path.is_file() else ("", "\n")
    begin, end = marks(name)
    path.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: slice) -> list[str]:
    """The lines of a table.

    Args:
        heads: Of the columns.
        rows: Cells.
        numbers: Columns that are aligned to the right.
    """
    rules = ["---"] * len(heads)
    rules[numbers] = ["---:"] * len(rules[numbers])
    lines = ([cell.replace("|", r"\|") for cell in cells] for cells in (heads, rules, *rows))
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _split(path: Path, name: str) -> tuple[str, str]:
    (begin, end), text = marks(name), path.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    if (text.count(begin), text.count(end), rest.count(end)) != (1, 1, 1):
        raise ConfigError(f"Expected {begin} and then {end} once each in {path}, found otherwise")
    return before, after
