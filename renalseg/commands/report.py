"""The command ``renalseg report``: writes the HTML page of a finished study."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_report_command(commands: Any) -> None:
    """Adds the command to the parser's subcommands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report", help="show a result in one HTML file that opens from disk"
    )
    parser.add_argument("dicom_in", type=Path, help="DICOM files or volumes: a folder, or one file")
    parser.add_argument("seg_out", type=Path, help="folder with the results of a run on them")
    parser.add_argument("--html", type=Path, required=True, metavar="FILE", help="gets the page")
    parser.add_argument(
        "--study", metavar="NAME", help="which study or volume, if there are several"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    parser.set_defaults(action=_report)


def _report(options: argparse.Namespace) -> None:
    write_report(options.dicom_in, options.seg_out, options.html, study=options.study)
    print(options.html)


def write_report(dicom_in: Path, seg_out: Path, html: Path, *, study: str | None = None) -> None:
    """Writes the HTML page of a study from the files of its run.

    Args:
        dicom_in: The CT: a folder, or one file; only read.
        seg_out: Folder with result.json and the segmentation or label map; only read.
        html: The page; its folder is made.
        study: StudyInstanceUID, or name of the volume; optional if only one study has a result.

    Raises:
        InputError: There is no such result, its segmentation is missing, or the CT is a different
        one.
    """
    from renalseg.output.stored import read_stored
    from renalseg.report.html.study import save_page

    stored = read_stored(seg_out, dicom_in, study)
    assert stored.ct is not None  # it was asked for
    save_page(stored.ct, stored.segmented, stored.entry, stored.run, html)
