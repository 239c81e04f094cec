"""The command ``renalseg evaluate``: how well predictions match labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_evaluate_command(commands: Any) -> None:
    """Adds the command to the parser's subcommands."""
    evaluate: argparse.ArgumentParser = commands.add_parser(
        "evaluate", help="score predictions against labels"
    )
    evaluate.add_argument(
        "preds",
        nargs="+",
        type=Path,
        metavar="PRED",
        help="label map (1 kidney, 2 tumor), DICOM SEG, result folder, or a folder of them; a "
        "second method, also a folder, is compared with the first",
    )
    evaluate.add_argument(
        "label", type=Path, metavar="LABEL", help="label map on the same grid, or a folder of them"
    )
    add = evaluate.add_argument
    add("--out", type=Path, metavar="DIR", help="save tables, pictures and a comparison here")
    add("--images", type=Path, metavar="DIR", help="CTs, called as the labels, for the pictures")
    add(
        "--ignore-origin",
        action="store_true",
        help="match by shape, spacing and axes alone: labels of KiTS have no origin",
    )
    add("--worst", type=int, default=3, metavar="N", help="show the N lowest scores (default: 3)")
    evaluate.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    evaluate.set_defaults(action=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from renalseg.evaluation.evaluate import evaluate

    done = evaluate(
        options.preds,
        options.label,
        options.out,
        images=options.images,
        ignore_origin=options.ignore_origin,
        worst=options.worst,
    )
    return max(each.exit_code for each in done)
