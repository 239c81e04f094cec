"""The table that sets the results of several methods side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from renalseg.output.archive_table import SUMMARY_FILE, read_rows, write_table

METHODS_FILE = "methods.csv"
SHOWN = ("finding", "kidney_ml", "tumor_ml", "cyst_ml")
"""Columns of an archive's table that are set side by side."""


def put_methods(out_root: Path, methods: Sequence[str]) -> list[dict[str, str]]:
    """Writes the table anew, from the table of each method.

    Args:
        out_root: Folder with a folder of results for each method; gets `METHODS_FILE`.
        methods: Their names.

    Returns:
        A line for each study, in the order in which they are first named: "study", and each of
        `SHOWN` for each method, as in "sehdc tumor_ml". A study that a method refused has the
        finding "refused".
    """
    tables = {name: read_rows(out_root / name / SUMMARY_FILE) for name in methods}
    columns = ["study", *(f"{name} {column}" for column in SHOWN for name in methods)]
    lines: dict[str, dict[str, str]] = {}
    for name, rows in tables.items():
        for row in rows:
            line = lines.setdefault(row["study"], dict.fromkeys(columns, ""))
            line["study"] = row["study"]
            shown = {column: row.get(column, "") for column in SHOWN}
            if row.get("exit_code") not in ("0", ""):
                shown["finding"] = shown["finding"] or "refused"
            line.update({f"{name} {column}": value for column, value in shown.items()})
    write_table(out_root / METHODS_FILE, lines.values(), columns)
    return list(lines.values())
