"""Nephrometry of the KiTS label maps, beside that of another program and clinical facts.

    python -m tools nephrometry DATA OURS.csv --oracle THEIRS.csv --markdown docs/accuracy.md

DATA has ``labels/kits`` with ``case_*.nii.gz`` and ``kits23.json``. The largest tumor of each case
that THEIRS.csv names is measured; OURS.csv gets its line of lesions.csv at once, so a second call
resumes. THEIRS.csv has the columns of lesions.csv that `tools.agreement` compares: `study` with the
name of the case, and of the others what there is.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from tqdm import tqdm

from renalseg.components import Mask, bounding_box
from renalseg.errors import InputError
from renalseg.findings.findings import describe
from renalseg.findings.sentences import Judgment
from renalseg.grids import Grid
from renalseg.inference.methods import default_numbers
from renalseg.labels import TUMOR
from renalseg.limits import Sides
from renalseg.output.lesion_table import Row, rows_of, write_table
from renalseg.synthesis.library import KITS
from tools.agreement import report
from tools.markdown import check_marks, put_between

_MARK = "nephrometry"
_MARGIN = 5  # voxels around the labels of a case; only what is there is measured


def add_nephrometry_command(tools: Any) -> None:
    """Adds ``nephrometry`` to the tools."""
    tool: argparse.ArgumentParser = tools.add_parser(
        "nephrometry", help="compare nephrometry of the KiTS labels with another program's"
    )
    tool.add_argument("data", type=Path, help="folder with labels/kits")
    tool.add_argument("ours", type=Path, help="CSV of our measures; a second call resumes")
    theirs = "CSV of another program's points, in columns of lesions.csv"
    tool.add_argument("--oracle", type=Path, required=True, help=theirs)
    page = f"write the tables between the marks {_MARK} of this document"
    tool.add_argument("--markdown", type=Path, metavar="FILE", help=page)
    tool.add_argument("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    tool.set_defaults(action=_nephrometry)


def measure_case(path: Path, sides: Sides) -> Row | None:
    """Measures the largest tumor of a label map; None where it has none.

    Args:
        path: NIfTI with the labels of KiTS23.
        sides: How left is told from right.

    Returns:
        Its row of lesions.csv. There is no CT: the middle of the field of view is the midline.
    """
    upright = nib.as_closest_canonical(nib.load(path))  # slices along Z
    whole = np.asarray(upright.dataobj).astype(np.uint8)
    box = _around(whole > 0)
    labels = torch.from_numpy(whole[box].copy())[None]
    affine = torch.from_numpy(Grid(whole.shape, upright.affine).crop(box).affine)
    water = MetaTensor(torch.zeros(1, 1, 1, 1).expand(labels.shape), affine=affine)
    found = describe(water, MetaTensor(labels, affine=affine), sides, Judgment())
    tumor = next((each for each in found.segments if each.kind == TUMOR), None)
    if tumor is None:
        return None
    return next(rows_of({"segments": [asdict(tumor)]}, {}, path.name.removesuffix(".nii.gz")))


def _around(mask: Mask) -> tuple[slice, ...]:
    """The box around what is in (X, Y, Z), with the middle of the field of view as its own."""
    across, *others = bounding_box(mask) or (slice(0, n) for n in mask.shape)
    beside = max(min(across.start, len(mask) - across.stop) - _MARGIN, 0)
    around = (slice(max(each.start - _MARGIN, 0), each.stop + _MARGIN) for each in others)
    return slice(beside, len(mask) - beside), *around


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """Reads a table of lesions, one for each study, by the names of the studies.

    Raises:
        InputError: It has no column `study`, or a study twice.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    studies = {row.get("study", ""): row for row in rows}
    if len(studies) < len(rows) or "" in studies:
        raise InputError(f"Expected a line for each study, with its name, in {path}")
    return studies


def read_facts(path: Path) -> dict[str, Mapping[str, Any]]:
    """Reads the clinical facts of KiTS23 by the names of the cases."""
    return {facts["case_id"]: facts for facts in json.loads(path.read_text(encoding="utf-8"))}


def _nephrometry(options: argparse.Namespace) -> None:
    if options.markdown is not None:
        check_marks(options.markdown, _MARK)
    folder, theirs = options.data / KITS, read_table(options.oracle)
    facts, sides = read_facts(folder / "kits23.json"), default_numbers().sides
    ours: dict[str, Any] = read_table(options.ours) if options.ours.is_file() else {}
    for case in tqdm(theirs):
        if case not in ours and (row := measure_case(folder / f"{case}.nii.gz", sides)) is not None:
            ours[case] = row
            write_table(options.ours, ours.values())
    text = report(read_table(options.ours), theirs, facts)
    if options.markdown is None:
        sys.stdout.write(text + "\n")
    else:
        put_between(options.markdown, _MARK, text)
