"""The result of a run as a table for the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from renalseg.errors import InputError
from renalseg.results import REFUSED, RESULT_FILE


def print_result(folder: Path) -> None:
    """Prints what a result folder holds: volumes, seconds of the stages, files, of each study.

    Args:
        folder: Output folder of a run.

    Raises:
        InputError: It holds no result.
    """
    path = folder / RESULT_FILE
    try:
        result: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"Expected {RESULT_FILE} of a run in {folder}: {error}") from error
    console = Console(highlight=False, soft_wrap=True)
    for study in result["studies"]:
        if study["finding"] == REFUSED:
            console.print(f"refused: study {study['study']}: {study['reason']}", markup=False)
            continue
        console.print(_volumes(study, result), _seconds(study, result))
        for name in study["files"]:
            console.print(f"{folder / name}", markup=False)
        for picture in study["pictures"]:
            console.print(picture, markup=False)
    if not result["studies"]:
        console.print(f"no CT to segment: {_skipped(result)}")
    console.print(f"{path}", markup=False)
    console.print("Research use only, not for diagnosis.", style="dim")


def _skipped(result: dict[str, Any]) -> str:
    skipped = result["files"]["skipped"]
    return ", ".join(f"{len(paths)} x {reason}" for reason, paths in skipped.items())


def _volumes(study: dict[str, Any], result: dict[str, Any]) -> Table:
    title = f"{study['finding']} ({result['localizer']}, {result['tumor']})"
    table = Table("structure", title=title, title_justify="left")
    table.add_column("volume (ml)", justify="right")
    for segment in study["segments"]:
        table.add_row(segment["label"], f"{segment['volume_ml']:.1f}")
    return table


def _seconds(study: dict[str, Any], result: dict[str, Any]) -> Table:
    table = Table("stage")
    table.add_column(f"seconds ({result['device']})", justify="right")
    for stage, seconds in study["seconds"].items():
        table.add_row(stage, f"{seconds:.1f}")
    table.add_section()
    table.add_row("all", f"{sum(study['seconds'].values()):.1f}")
    return table
