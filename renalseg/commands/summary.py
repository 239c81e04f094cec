"""The result of a run as a table for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from renalseg.findings.sentences import USE, Kind
from renalseg.labels import BOUNDED, bounded
from renalseg.output.folder import RESULT_FILE, read_result
from renalseg.output.study import REFUSED
from renalseg.report.entries import stages_of, statements_of
from renalseg.runtime.harmless import one_line

_WIDEST = 1000  # characters of a table


def print_result(folder: Path) -> None:
    """Prints the measures, stage times and files of each study in a result folder.

    Args:
        folder: Output folder of a run.

    Raises:
        InputError: The folder holds no result.
    """
    result = read_result(folder)
    console = Console(highlight=False, soft_wrap=True)
    for study in result["studies"]:
        if study["finding"] == REFUSED:
            refusal = f"refused: study {study['study']}: {study['reason']}"
            console.print(one_line(refusal), markup=False)
            continue
        for kind, text in statements_of(study):
            said = text if kind == Kind.CONCLUSION else f"{kind}: {text}"
            console.print(one_line(said), markup=False)
        title = f"{study['finding']} ({', '.join(stages_of(result).values())})"
        if study["segments"]:
            _print_whole(console, _measures(study, title))
        else:  # an empty table would consist of headings only
            console.print(Text(one_line(title)))
        console.print(_seconds(study, result["device"]))
        for name in study["files"]:
            console.print(one_line(f"{folder / name}"), markup=False)
        for picture in study["pictures"]:
            console.print(one_line(picture), markup=False)
        if study["supersedes"]:
            console.print(f"replaces {len(study['supersedes'])} earlier objects")
    if not result["studies"]:
        console.print(one_line(f"no CT to segment: {_skipped(result)}"), markup=False)
    console.print(one_line(f"{folder / RESULT_FILE}"), markup=False)
    console.print(USE, style="dim")


def _print_whole(console: Console, table: Table) -> None:
    """Prints a table at its full width. A narrow terminal wraps its rows; no value is cut."""
    wide = console.options.update(max_width=_WIDEST)
    width = Measurement.get(console, wide, table).maximum
    Console(highlight=False, width=max(width, console.width)).print(table)


def _skipped(result: dict[str, Any]) -> str:
    skipped = result["files"]["skipped"]
    return ", ".join(f"{len(paths)} x {reason}" for reason, paths in skipped.items())


def _measures(study: dict[str, Any], title: str) -> Table:
    table = Table(
        title=Text(one_line(title)),
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    table.add_column("structure", no_wrap=True)
    for heading in ("volume\nml", "longest\nmm", "axial\nmm", "mean\nHU"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("third", no_wrap=True)
    table.add_column("outside\n%", justify="right", no_wrap=True)
    table.add_column("size", no_wrap=True)
    table.add_column("image", no_wrap=True)
    for segment in study["segments"]:
        table.add_row(
            Text(one_line(segment["label"])),
            _number(segment, "volume_ml", 1),
            *(_number(segment, name) for name in ("longest_mm", "longest_axial_mm", "mean_hu")),
            segment.get("third") or "",
            _number(segment, "exophytic_percent"),
            segment.get("size") or "",
            segment.get("image") or "",
        )
    return table


def _number(segment: dict[str, Any], name: str, digits: int = 0) -> str:
    value = segment.get(name)
    if value is None:
        return ""
    return bounded(f"{value:.{digits}f}", name in BOUNDED and segment.get("lower_bound", False))


def _seconds(study: dict[str, Any], device: str) -> Table:
    seconds = study.get("seconds", {})
    table = Table("stage")
    table.add_column(f"seconds ({device})", justify="right")
    for stage, value in seconds.items():
        table.add_row(stage, f"{value:.1f}")
    table.add_section()
    table.add_row("all", f"{sum(seconds.values()):.1f}")
    return table
