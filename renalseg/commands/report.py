"""The command ``renalseg report``: writes the HTML page of a finished study."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.errors import InputError

if TYPE_CHECKING:
    from renalseg.dicom.read.series import CTSeries


def add_report_command(commands: Any) -> None:
    """Adds the command to the parser's subcommands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report", help="show a result in one HTML file that opens from disk"
    )
    parser.add_argument("dicom_in", type=Path, help="folder with the DICOM files")
    parser.add_argument("seg_out", type=Path, help="folder with the results of a run on them")
    parser.add_argument("--html", type=Path, required=True, metavar="FILE", help="gets the page")
    parser.add_argument("--study", metavar="UID", help="which study, if there are several")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    parser.set_defaults(action=_report)


def _report(options: argparse.Namespace) -> None:
    write_report(options.dicom_in, options.seg_out, options.html, study=options.study)
    print(options.html)


def write_report(dicom_in: Path, seg_out: Path, html: Path, *, study: str | None = None) -> None:
    """Writes the HTML page of a study from the files of its run.

    Args:
        dicom_in: Folder with the CT; only read.
        seg_out: Folder with result.json and the segmentation; only read.
        html: The page; its folder is made.
        study: StudyInstanceUID; optional if only one study has a result.

    Raises:
        InputError: There is no such result, its segmentation is missing, or the CT is a different
        one.
    """
    import numpy as np

    from renalseg.dicom.read.packed import unpacked
    from renalseg.dicom.read.segmentation import read_saved
    from renalseg.report.html.study import save_page
    from renalseg.volumes.files import is_volume

    run, entry = _stored(seg_out, study)
    if is_volume(Path(str(entry["series"]))):
        raise InputError(
            f"Expected the result of a DICOM series in {seg_out}, found that of the volume "
            f"{entry['series']}: run it again with --report"
        )
    with unpacked(dicom_in) as place:
        series = _source(place, entry)
    if entry["segments"]:
        segmented = read_saved(_segmentation(seg_out, entry), series)
    else:  # DICOM has no empty segmentation
        segmented = np.zeros(series.image.shape[1:], np.uint8)
    save_page(series, segmented, entry, run, html)


def _stored(folder: Path, study: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads the entries of the run and of one study from result.json."""
    from renalseg.output.folder import RESULT_FILE, read_result
    from renalseg.output.study import REFUSED

    run = read_result(folder)
    found = (entry for entry in run["studies"] if entry["finding"] != REFUSED)
    entries = {entry["study"]: entry for entry in found}
    if study is None and len(entries) == 1:
        (study,) = entries
    if study not in entries:
        asked = f"study {study}" if study else "one study, or the option --study"
        raise InputError(
            f"Expected {asked} in {folder / RESULT_FILE}, found {', '.join(entries) or 'none'}"
        )
    return run, entries[study]


def _segmentation(folder: Path, entry: dict[str, Any]) -> Path:
    for name in entry["files"]:
        path = folder / str(name)
        if path.name.endswith((".seg.dcm", ".labelmap.dcm")) and path.is_file():
            return path
    raise InputError(f"Expected the segmentation of study {entry['study']} in {folder}, found none")


def _source(folder: Path, entry: dict[str, Any]) -> CTSeries:
    """Finds the series, or the part of one, from which the results were made."""
    from renalseg.dicom.read.choose import make_plan
    from renalseg.dicom.read.scan import scan_folder
    from renalseg.dicom.read.series import load

    plan = make_plan(scan_folder(folder), allow_gaps=True)
    candidates = [candidate for study in plan.studies for candidate in study.candidates]
    for candidate in candidates:
        if candidate.series == entry["series"] and candidate.reason is None:
            series = load(candidate)
            if series.input_hash == entry["input_hash"]:
                return series
    found = ", ".join(sorted({candidate.series for candidate in candidates})) or "none"
    raise InputError(
        f"Expected in {folder} the CT that the results were made of, series {entry['series']} with "
        f"the same pixels; found the series {found}"
    )
