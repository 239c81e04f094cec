"""The CSV tables of an archive, with lines for each study of each folder."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from renalseg.runtime.harmless import csv_cell
from renalseg.runtime.staging import complete_file

SUMMARY_FILE = "archive.csv"
COLUMNS = (
    *("study", "exit_code", "finding", "kidney_ml", "tumor_ml", "cyst_ml"),
    *("review", "review_reasons", "probability"),
    *("method", "fingerprint", "seconds", "message"),
)


def study_names(folder: str, studies: Sequence[str]) -> list[str]:
    """Gives what the studies of a folder are called in the tables.

    Args:
        folder: Name of the folder.
        studies: StudyInstanceUIDs of its studies, or names of volumes.
    """
    return [folder] if len(studies) == 1 else [f"{folder}/{study}" for study in studies]


def put_rows(
    path: Path,
    folder: str,
    rows: Iterable[Mapping[str, object]],
    columns: Sequence[str] = COLUMNS,
) -> None:
    """Replaces the lines of a folder.

    The file is replaced as a whole, so that readers never see a part of it. A table of an older
    version gets its missing columns and keeps its values.

    Args:
        path: The table; made where there is none.
        folder: Name of the folder. Its lines have this name under "study", or it and a
            StudyInstanceUID behind a slash where it holds several studies.
        rows: The new lines, by column.
        columns: Names of the columns, of which one is "study".
    """
    names, before = _read(path, columns)
    new = [{name: csv_cell(value) for name, value in row.items()} for row in rows]
    own = str(csv_cell(folder))
    place, kept = len(before), list[Mapping[str, object]]()
    for row in before:
        study = row["study"] or ""
        if study == own or study.startswith(f"{own}/"):
            place = min(place, len(kept))
        else:
            kept.append(row)
    write_table(path, [*kept[:place], *new, *kept[place:]], names)


def put_review_first(path: Path) -> int:
    """Sorts the lines by what is worth looking at first, and counts those that ask for it.

    First come studies with reasons for review, the most reasons first, then those that were refused
    or failed, then the others by their least probable lesion.

    Args:
        path: The table.
    """
    names, rows = _read(path, COLUMNS)

    def rank(row: Mapping[str, str | None]) -> tuple[int, bool, float]:
        failed = row.get("exit_code") not in ("0", "", None)
        return -int(row.get("review") or 0), not failed, float(row.get("probability") or 1)

    rows.sort(key=rank)
    write_table(path, rows, names)
    return sum(rank(row)[0] < 0 for row in rows)


def write_table(path: Path, rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Writes a table as a whole, so that readers never see a part of it.

    Args:
        path: The table; its folder is made.
        rows: By column; text that a spreadsheet would take for a formula begins with a quote.
        columns: Their order.
    """
    with complete_file(path) as table, table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Reads the lines of a table; none where there is no table."""
    _, rows = _read(path, COLUMNS)
    return [{name: value or "" for name, value in row.items()} for row in rows]


def _read(path: Path, columns: Sequence[str]) -> tuple[list[str], list[dict[str, str | None]]]:
    """The columns of a table with those that it lacks, and its lines."""
    if not path.is_file():
        return list(columns), []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, restval="")
        there = list(reader.fieldnames or ())
        rows = [{name: row[name] for name in there} for row in reader]
    if "study" not in there:  # not a table of ours, or an empty file
        return list(columns), []
    if set(there) >= set(columns):
        return there, rows
    return [*columns, *(name for name in there if name not in columns)], rows
