"""The command ``renalseg lesions``: a table of what finished studies hold."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from renalseg.errors import InputError


def add_lesions_command(commands: Any) -> None:
    """Adds the command to the parser's subcommands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "lesions", help="write a table with a row for each kidney, tumor and cyst"
    )
    parser.add_argument("results", type=Path, help="folder that run or archive has written")
    parser.add_argument("table", type=Path, help="gets the table: .csv or .parquet")
    parser.add_argument(
        "--dictionary", type=Path, metavar="FILE", help="also write a data dictionary for REDCap"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    parser.set_defaults(action=_lesions)


def _lesions(options: argparse.Namespace) -> None:
    from renalseg.output.lesion_table import write_dictionary, write_table

    rows = list(read_rows(options.results))
    write_table(options.table, rows)
    if options.dictionary is not None:
        write_dictionary(options.dictionary)
    print(f"{options.table}: {len(rows)} rows")


def read_rows(results: Path) -> Iterator[dict[str, Any]]:
    """Gives the rows of all studies of a result folder, or of a folder of them.

    Args:
        results: What `renalseg run` or `renalseg archive` has written.

    Raises:
        InputError: It holds no result.
    """
    from renalseg.output.folder import RESULT_FILE

    if (results / RESULT_FILE).is_file():
        yield from _rows(results)
        return
    folders = sorted(path.parent for path in results.glob(f"*/{RESULT_FILE}"))
    if not folders:
        raise InputError(f"Expected {RESULT_FILE} in {results} or in its folders, found none")
    for folder in folders:
        yield from _rows(folder, folder.name)


def _rows(folder: Path, name: str | None = None) -> list[dict[str, Any]]:
    from renalseg.output.folder import RESULT_FILE, read_result
    from renalseg.output.lesion_table import find_rows

    try:
        return find_rows(read_result(folder), name)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"Expected studies with segments in {folder / RESULT_FILE}, found others "
            f"({type(error).__name__}): segment them again"
        ) from error
