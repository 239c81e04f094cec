"""The arguments of the application.

They are read here and not by the SDK: its parser ends the program on options that it does not know,
and its context loads every model it finds before the first operator runs. The names of the common
arguments and of the environment variables are the SDK's.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from renalseg.commands.main import add_choices

INPUT = "HOLOSCAN_INPUT_PATH"
OUTPUT = "HOLOSCAN_OUTPUT_PATH"
MODEL = "HOLOSCAN_MODEL_PATH"
# Of mercure, whose older versions set no others: they go before those that the image itself sets.
MERCURE_INPUT = "MERCURE_IN_DIR"
MERCURE_OUTPUT = "MERCURE_OUT_DIR"


def parse_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments, with the environment where one is absent.

    Args:
        argv: Arguments without the program's name; those of the process when None.

    Returns:
        `input` and `output` as paths; `model`, `method`, `localizer`, `tumor`, `device`,
        `overlay`, `report`, `outputs` and `empty_frames`, None where not given; `verbose`.

    Raises:
        SystemExit: With code 2, after a message, where an argument is wrong or missing.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    for name, flag, mercure, variable in (
        ("input", "-i", MERCURE_INPUT, INPUT),
        ("output", "-o", MERCURE_OUTPUT, OUTPUT),
    ):
        if getattr(options, name) is None:
            value = os.environ.get(mercure) or os.environ.get(variable)
            if not value:
                parser.error(f"no {name} folder: give {flag} {name.upper()} or set {variable}")
            setattr(options, name, Path(value))
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="monai-deploy exec app",
        description="Find the kidneys and their tumors in a CT study: DICOM in, DICOM SEG out.",
        epilog="Exit codes: 0 done; 2 the study or the call was refused; "
        "75 a resource ran out, try again; 1 a fault of the program.",
    )
    add = parser.add_argument
    add("-i", "--input", type=Path, metavar="IN", help=f"folder with the DICOM files (or {INPUT})")
    add("-o", "--output", type=Path, metavar="OUT", help=f"folder for the results (or {OUTPUT})")
    add("-m", "--model", type=Path, metavar="BUNDLES", help=f"folder with the bundles (or {MODEL})")
    add_choices(parser)
    return parser
