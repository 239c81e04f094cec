"""Real slices of KiTS19 with tumors: the tumor bundles alone, their kidney mask given.

The slice is repeated to a stack as thick as a tumor, so that 3D networks and the rules for small
tumors treat it as a CT; only the middle slice of the result counts. The stored HU are clipped to 0
to 255: fat and air are 0, bright vessels and cortex 255. A bundle that sees only the kidney loses
little: some fat of the sinus. One that also sees its surroundings finds water instead of fat, which
it was never trained on.
"""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from renalseg.evaluation.bootstrap import mean_of
from renalseg.inference.models import Models
from renalseg.labels import TUMOR
from tools.accuracy.suites.suite import Labeled, Record, Suite, require

INDEX_FILE = "index.csv"
IMAGE_KEY, LABEL_KEY = "image_hu0_255", "label_kits19"  # of a file; both (rows, columns)
THICKNESS_MM = 40.0
_MEASURES = ("dice", "sensitivity", "precision")


def real_slices(data_dir: Path) -> Suite:
    """The slices of a folder.

    Args:
        data_dir: Folder with slices/index.csv and the files that it names by case and slice.

    Raises:
        InputError: They are not there.
    """
    folder = data_dir / "slices"
    require(folder / INDEX_FILE)
    with (folder / INDEX_FILE).open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    paths = {f"case_{int(line['case']):05d}_slice_{int(line['slice']):04d}": line for line in lines}
    require(*(folder / f"{name}.npz" for name in paths))
    cases = {
        name: partial(load_slice, folder / f"{name}.npz", line) for name, line in paths.items()
    }
    return Suite("slices", cases, measure_slice, dict, summarize_slices)


def load_slice(path: Path, line: Mapping[str, str]) -> Labeled:
    """A slice as a stack.

    Args:
        path: With `IMAGE_KEY` and `LABEL_KEY`, the label 1 kidney, 2 tumor.
        line: With `case`, and `spacing_x`, `spacing_y`, `spacing_z` in mm.
    """
    x, y, z = (float(line[f"spacing_{axis}"]) for axis in "xyz")
    slices = repeats(z)
    # rows run to posterior and columns to the left, as in every axial series
    affine = torch.diag(torch.tensor([-x, -y, z, 1.0], dtype=torch.float64))
    with np.load(path) as stored:
        image, label = (
            torch.from_numpy(stored[name].T.astype(dtype))[None, ..., None].repeat(1, 1, 1, slices)
            for name, dtype in ((IMAGE_KEY, np.float32), (LABEL_KEY, np.uint8))
        )
    facts = {"patient": f"case_{int(line['case']):05d}"}
    return Labeled(MetaTensor(image, affine=affine), MetaTensor(label, affine=affine), facts)


def repeats(step_mm: float) -> int:
    """How often a slice is repeated, an odd number.

    Args:
        step_mm: From one slice to the next.
    """
    return 2 * math.ceil(THICKNESS_MM / step_mm / 2) + 1


def measure_slice(models: Models, name: str, case: Labeled) -> Record:
    """Dice, sensitivity and precision of the tumor in the middle slice."""
    given = MetaTensor(case.label.as_tensor().gt(0).to(torch.uint8), affine=case.label.affine)
    pred = models.find_unrefined(case.image, given).as_tensor()
    middle = pred.shape[-1] // 2
    found, truth = (x[..., middle].eq(TUMOR) for x in (pred, case.label.as_tensor()))
    both, sizes = int((found & truth).sum()), (int(found.sum()), int(truth.sum()))
    return {
        "case": name,
        **case.facts,
        "dice": _share(2 * both, sum(sizes)),
        "sensitivity": _share(both, sizes[1]),
        "precision": _share(both, sizes[0]),
        "tumor_pixels": sizes[1],
    }


def summarize_slices(records: Sequence[Record]) -> dict[str, Any]:
    """Means over slices, and over patients, since some have many slices.

    The interval is that over patients: slices of one patient are alike. Slices without a labeled
    tumor are counted separately: what is found in them is false, and there is no Dice.
    """
    free = [record for record in records if not record["tumor_pixels"]]
    records = [record for record in records if record["tumor_pixels"]]
    patients: dict[str, list[Record]] = {}
    for record in records:
        patients.setdefault(record["patient"], []).append(record)
    means = {
        name: [_mean(record[name] for record in group) for group in patients.values()]
        for name in _MEASURES
    }
    scores = [record["dice"] for record in records]
    return {
        "slices": len(records),
        "patients": len(patients),
        "median_dice": statistics.median(scores) if scores else math.nan,
        "mean": {name: _mean(record[name] for record in records) for name in _MEASURES},
        "mean_of_patients": {name: asdict(mean_of(means[name])) for name in _MEASURES},
        "missed": sum(record["sensitivity"] == 0 for record in records),
        "tumor_free": len(free),
        "tumor_free_with_tumor": sum(not math.isnan(record["precision"]) for record in free),
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _mean(values: Iterable[float]) -> float:
    kept = [value for value in values if not math.isnan(value)]
    return statistics.fmean(kept) if kept else math.nan
