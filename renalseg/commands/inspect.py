"""``renalseg inspect``: explains what a run would do with a folder, without running it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.dicom.read.accounts import REFUSED
from renalseg.errors import EXIT_REFUSED, plural
from renalseg.runtime.environment import switched_on
from renalseg.runtime.harmless import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from renalseg.dicom.read.plan import Candidate, Plan, StudyPlan
    from renalseg.geometry import Array
    from renalseg.intake.volumes import VolumePlan

_WIDTH = 150  # width of the tables without a terminal
_STYLES = {"processed": "green", "not chosen": "", "refused": "red"}


def add_inspect_command(commands: Any) -> None:
    """Adds ``inspect`` to the subcommands of ``renalseg``."""
    command = commands.add_parser("inspect", help="explain what a run would do with a folder")
    command.add_argument("dicom_in", type=Path, help="folder with the DICOM files, or volumes")
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")
    gaps = argparse.BooleanOptionalAction
    command.add_argument("--allow-gaps", action=gaps, help="as for a run")
    command.add_argument("--series", metavar="S", help="as for a run")
    command.add_argument("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    command.set_defaults(action=_inspect)


def inspect_folder(
    folder: Path, *, allow_gaps: bool = False, series: str | None = None
) -> dict[str, Any]:
    """Describes what a run would do with a folder.

    Reads headers and the pixels of a few slices, so only a run finds damage in the compressed
    pixels of the others. The description contains no patient's name or ID.

    Args:
        folder: Folder with DICOM files or volumes, or one file; only read.
        allow_gaps: As for a run.
        series: As for a run.

    Returns:
        "studies", each with its "series", their geometry, scores, status and reasons; "files" and
        "warnings" as result.json has them; and the "exit_code" of a run.

    Raises:
        InputError: A run would refuse the whole folder.
    """
    from renalseg.dicom.read.codecs import missing_decoders
    from renalseg.intake.folders import look_through, name_of, opened
    from renalseg.intake.volumes import VolumesPlan
    from renalseg.runtime.progress import steps

    with opened(folder) as place, steps("files") as progress:
        plan = look_through(
            place, allow_gaps=allow_gaps, wanted=series, called=name_of(folder), progress=progress
        ).plan
    if isinstance(plan, VolumesPlan):
        refused = all(volume.reason is not None for volume in plan.studies)
        return {
            "folder": str(folder),
            "studies": list(map(_volume, plan.studies)),
            "files": plan.files().to_json(),
            "warnings": [],
            "exit_code": EXIT_REFUSED if refused else 0,
        }
    return {
        "folder": str(folder),
        "studies": [_study(study) for study in plan.studies],
        "files": plan.files().to_json(),
        "warnings": [*missing_decoders(), *plan.warnings],
        "exit_code": _exit_code(plan),
    }


def _exit_code(plan: Plan) -> int:
    if plan.studies:
        return EXIT_REFUSED if all(study.best is None for study in plan.studies) else 0
    return EXIT_REFUSED if plan.scan.refused else 0


def _study(study: StudyPlan) -> dict[str, Any]:
    from renalseg.dicom.read.gaps import find_missing

    best = study.best
    entry: dict[str, Any] = {"study": study.study, "reason": None, "warnings": []}
    if best is None or best.grid is None:
        entry["reason"] = study.reason
    else:
        warnings = list(best.warnings())
        for gap in find_missing(best.grid):
            warnings.append(f"missing slices: {gap}; refused if it is near a kidney")
        entry["warnings"] = warnings
    entry["series"] = [
        {**account.to_json(), **_geometry(candidate)}
        for account, candidate in zip(study.series(), study.candidates, strict=True)
    ]
    return entry


def _volume(volume: VolumePlan) -> dict[str, Any]:
    from renalseg.volumes.turn import Turn

    entry: dict[str, Any] = {**volume.account().to_json(), "description": ""}
    if volume.stored is not None and volume.reason is None:
        turn = Turn(volume.stored.affine, volume.stored.shape)
        entry |= _extent(turn.turned_shape, turn.turned_affine)
    return {
        "study": volume.study,
        "reason": volume.reason,
        "warnings": [],
        "series": [entry],
    }


def _geometry(candidate: Candidate) -> dict[str, Any]:
    first, grid = candidate.instances[0], candidate.grid
    entry: dict[str, Any] = {"description": first.optional("SeriesDescription")}
    return entry if grid is None else entry | _extent(grid.shape, grid.affine)


def _extent(shape: Sequence[int], affine: Array) -> dict[str, Any]:
    """The size of a volume whose slices lie across its last axis."""
    from renalseg.geometry import spacing_of
    from renalseg.volumes.size_limits import bytes_needed

    spacing = [round(float(value), 3) for value in spacing_of(affine)]
    return {
        "shape": [int(size) for size in shape],
        "spacing_mm": spacing,
        "extent_mm": round(spacing[2] * (shape[2] - 1), 1),
        "bytes": bytes_needed(shape),
    }


def _inspect(options: argparse.Namespace) -> int:
    given = options.allow_gaps
    gaps = switched_on("RENALSEG_ALLOW_GAPS") if given is None else given
    series = options.series or os.environ.get("RENALSEG_SERIES") or None
    content = inspect_folder(options.dicom_in, allow_gaps=gaps, series=series)
    if options.json:
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
    else:
        print_inspection(content)
    return int(content["exit_code"])


def print_inspection(content: Mapping[str, Any]) -> None:
    """Prints what `inspect_folder` gives as tables."""
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    for study in content["studies"]:
        console.print(_series_table(study))
        _print_all(console, study["warnings"])
    if not content["studies"]:
        console.print("no CT to segment", style="bold")
    files = content["files"]
    if files["skipped"] or files["refused"]:
        console.print(_file_table(files))
    _print_all(console, content["warnings"])
    console.print(_verdict(content), style="bold")


def _print_all(console: Console, warnings: list[str]) -> None:
    for warning in warnings:
        console.print(one_line(f"  ! {warning}"), markup=False, style="yellow")


def _verdict(content: Mapping[str, Any]) -> str:
    done = sum(study["reason"] is None for study in content["studies"])
    return (
        f"A run would process {done} of {plural(len(content['studies']), 'study', 'studies')}, "
        f"{plural(content['files']['processed'], 'file')}, and end with {content['exit_code']}."
    )


def _series_table(study: Mapping[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"study {one_line(study['study'])}"), title_justify="left", title_style="bold"
    )
    for name in ("would be", "series", "slices", "spacing (mm)", "extent (mm)", "score", "why"):
        right = name in ("slices", "extent (mm)", "score")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for series in study["series"]:
        names = (
            series["description"],
            series.get("part", ""),
            series["series"],
        )
        table.add_row(
            Text(series["status"], style=_STYLES[series["status"]]),
            Text("\n".join(one_line(name) for name in names if name)),
            str(series["slices"]),
            " x ".join(f"{value:g}" for value in series.get("spacing_mm", ())),
            f"{series['extent_mm']:g}" if "extent_mm" in series else "",
            f"{series['score']['total']:.1f}" if series["score"] else "",
            Text("\n".join(map(one_line, _why(series)))),
        )
    return table


def _why(series: Mapping[str, Any]) -> Iterator[str]:
    if series["status"] == REFUSED:
        yield series["reason"]
    points = {name: value for name, value in series["score"].items() if name != "total"}
    if points:
        yield ", ".join(f"{name} {value:+.1f}" for name, value in points.items() if value)


def _file_table(files: Mapping[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="files that would not be processed", title_justify="left")
    table.add_column("files", justify="right")
    table.add_column("what they are", overflow="fold")
    table.add_column("the first", overflow="fold")
    for kind, style in (("refused", "red"), ("skipped", "")):
        for reason, paths in files[kind].items():
            table.add_row(
                str(len(paths)), Text(one_line(reason), style=style), Text(one_line(paths[0]))
            )
    return table
