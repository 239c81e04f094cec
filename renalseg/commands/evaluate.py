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
        "pred",
        type=Path,
        help="label map (1 kidney, 2 tumor), DICOM SEG, result folder, or a folder of them",
    )
    evaluate.add_argument(
        "label", type=Path, help="label map on the same grid, or a folder of them"
    )
    evaluate.add_argument(
        "--out", type=Path, metavar="DIR", help="save tables and a picture to this folder"
    )
    evaluate.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    evaluate.set_defaults(action=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    from renalseg.evaluation.evaluate import evaluate

    evaluate(options.pred, options.label, options.out)
