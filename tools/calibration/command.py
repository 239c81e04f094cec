"""``python -m tools calibrate``: how often are the lesions that a tumor bundle finds real?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.calibration.lesions import Lesions

_FOLDS = "configs/folds.yaml"


def add_calibrate_command(tools: Any) -> None:
    """Adds ``calibrate`` to the tools."""
    tool = tools.add_parser(
        "calibrate",
        help="fit how often a bundle's lesions are real",
        description="Runs a tumor bundle on patients that validate it, says which of its tumors and"
        " cysts are real, and puts a fit into its metadata, with the fingerprint of the weights and"
        " settings that it holds for.",
    )
    add = tool.add_argument
    add("source", type=Path, help="folder with slabs, or a CSV with patient, mean_output and real")
    add("bundle", type=Path, help="the tumor bundle, whose metadata get the fit")
    add("--fold", type=int, default=0, help="whose patients validate, of the bundle's folds.yaml")
    add("--device", metavar="D", help="auto, cpu, cuda or cuda:<n>")
    add("--table", type=Path, metavar="CSV", help="write the lesions that are found in the slabs")
    add("--picture", type=Path, metavar="PNG", help="reliability, as a picture")
    add("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    tool.set_defaults(action=_calibrate)


def _calibrate(options: argparse.Namespace) -> None:
    from renalseg.inference.metadata import METADATA_FILE, fingerprint, read_metadata
    from renalseg.runtime.checksums import renew_manifest
    from renalseg.runtime.staging import complete_file
    from tools.calibration.fit import draw, report
    from tools.calibration.lesions import read_lesions

    metadata = read_metadata(options.bundle)
    lesions = _find(options) if options.source.is_dir() else read_lesions(options.source)
    fitted = {"fingerprint": fingerprint([options.bundle]), **report(lesions)}
    text = json.dumps({**metadata, "calibration": fitted}, indent=2, ensure_ascii=False)
    with complete_file(options.bundle / METADATA_FILE) as file:
        file.write_text(text + "\n", encoding="utf-8")
    renew_manifest(options.bundle)
    if options.picture is not None:
        draw(lesions, options.picture)
    sys.stdout.write(json.dumps(fitted, indent=2) + "\n")


def _find(options: argparse.Namespace) -> Lesions:
    from tqdm import tqdm

    from renalseg.inference.bundle import Bundle
    from renalseg.output.archive_table import write_table
    from renalseg.settings import Settings
    from renalseg.synthesis.slabs import VALIDATION, load_slabs
    from tools.calibration.lesions import COLUMNS, find_lesions, to_lesions

    slabs = load_slabs(options.source, options.bundle / _FOLDS, options.fold, VALIDATION)
    bundle = Bundle(options.bundle, Settings.resolve(device=options.device).choice.device)
    rows = list(find_lesions(tqdm(slabs), bundle))
    if options.table is not None:
        write_table(options.table, rows, COLUMNS)
    return to_lesions(rows, options.source)
