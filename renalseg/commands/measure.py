"""The command ``renalseg measure``: a segmentation that a person edited, measured anew."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError


def add_measure_command(commands: Any) -> None:
    """Adds the command to the parser's subcommands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "measure", help="measure a segmentation that a person edited in a viewer"
    )
    add = parser.add_argument
    add("dicom_in", type=Path, metavar="CT", help="the CT: a folder, or one file")
    add("seg", type=Path, metavar="SEG", help="the edited DICOM SEG, as the viewer stored it")
    add("out", type=Path, metavar="OUT", help="folder for the corrected result")
    add(
        "--result",
        type=Path,
        metavar="DIR",
        help="folder with the result that was edited (default: that of SEG)",
    )
    add("--study", metavar="NAME", help="which study of the result, if there are several")
    add(
        "--kind",
        action="append",
        default=[],
        metavar="N=NAME",
        help="what segment N of SEG is: kidney, tumor or cyst, where nothing else says it",
    )
    add("--person", metavar="NAME", help="who edited it, as DICOM writes names: Doe^Jane")
    add("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    parser.set_defaults(action=_measure)


def _measure(options: argparse.Namespace) -> None:
    from renalseg.commands.summary import print_result
    from renalseg.followup.correction import measure_corrected
    from renalseg.output.stored import read_stored

    stored = read_stored(options.result or options.seg.parent, options.dicom_in, options.study)
    kinds = dict(map(_kind, options.kind))
    measure_corrected(options.seg, stored, options.out, kinds=kinds, person=options.person)
    print_result(options.out)


def _kind(text: str) -> tuple[int, int]:
    from renalseg.labels import LABELS

    names = {info.name: kind for kind, info in LABELS.items()}
    number, _, name = text.partition("=")
    if not number.isdigit() or name not in names:
        raise ConfigError(f"Expected --kind such as 4=tumor, of {', '.join(names)}, got {text!r}")
    return int(number), names[name]
