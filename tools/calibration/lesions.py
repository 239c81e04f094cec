"""The tumors and cysts that a bundle finds in patients that trained nothing, and which are real."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from renalseg.components import bounding_box, components, part_boxes
from renalseg.errors import ConfigError
from renalseg.evaluation.lesions import MIN_LESION_MM3, match_lesions
from renalseg.evidence import LESIONS, evidence_of
from renalseg.findings.confidence import NOT_CALIBRATED, judge_lesion
from renalseg.geometry import Array, voxel_volume_mm3
from renalseg.grids import Grid
from renalseg.labels import KIDNEY, LABELS
from renalseg.synthesis.slabs import Slab
from tools.accuracy.suites.slices import repeats

COLUMNS = ("patient", "kind", "volume_ml", "mean_output", "real")
_NEEDED = ("patient", "mean_output", "real")

Segment = Callable[[MetaTensor, MetaTensor], MetaTensor]
"""A tumor bundle: labels of an image in a mask, see `renalseg.inference.bundle.Bundle`."""
Row = dict[str, str | float]


class Lesions(NamedTuple):
    """Lesions of validation patients.

    Attributes:
        patients: Whose each is, (N,).
        outputs: Mean output of the network over each, (N,).
        real: Whether it is real, (N,).
    """

    patients: Array
    outputs: Array
    real: Array


def read_lesions(path: Path) -> Lesions:
    """Reads the table.

    Raises:
        ConfigError: A column or a value is missing, or all lesions are real, or none.
    """
    with path.open(newline="", encoding="utf-8") as file:
        return to_lesions(csv.DictReader(file), path)


def to_lesions(rows: Iterable[dict[str, str | float]], source: Path) -> Lesions:
    """Makes arrays of a table.

    Args:
        rows: Each with `patient`, `mean_output` and `real`, 1 or 0.
        source: Where they come from, for messages.

    Raises:
        ConfigError: A column or a value is missing, or all lesions are real, or none.
    """
    rows = list(rows)
    try:
        patients = np.array([row["patient"] for row in rows])
        outputs, real = (np.array([float(row[name]) for row in rows]) for name in _NEEDED[1:])
    except (KeyError, ValueError) as error:
        raise ConfigError(f"Expected {', '.join(_NEEDED)} in each line of {source}") from error
    if set(real) != {0, 1}:
        raise ConfigError(
            f"Expected real lesions (1) and false ones (0) in {source}, found one kind"
        )
    return Lesions(patients, outputs, real)


def find_lesions(slabs: Iterable[Slab], segment: Segment) -> Iterator[Row]:
    """Gives a line of the table for each lesion that a bundle finds in slabs with an image.

    A lesion is real by the rule of `renalseg.evaluation.lesions`, with labels of its own kind: a
    cyst that is called tumor is no real tumor. The mask is the localizer's where the slab has it,
    otherwise all that is labeled. A single slice is repeated, as the suite of slices does it.

    Args:
        slabs: Of patients that trained nothing.
        segment: The bundle.
    """
    for slab in slabs:
        if slab.image is not None:
            mask = slab.label > 0 if slab.found is None else slab.found
            pred = segment(_volume(slab, slab.image.float()), _volume(slab, mask.to(torch.uint8)))
            label = _volume(slab, slab.label)[0].numpy()
            yield from ({"patient": slab.patient, **row} for row in _judged(pred, label))


def _volume(slab: Slab, values: Tensor) -> MetaTensor:
    """Values (X, Y, Z) of a slab as a volume (1, X, Y, Z)."""
    affine = torch.diag(torch.tensor([*slab.spacing, 1.0], dtype=torch.float64))
    count = repeats(slab.spacing[2]) if values.shape[2] == 1 else 1
    return MetaTensor(values.repeat(1, 1, count)[None], affine=affine)


def _judged(pred: MetaTensor, label: Array) -> Iterator[Row]:
    evidence, whole = evidence_of(pred), pred[0].numpy()
    lesions = bounding_box((whole > KIDNEY) | (label > KIDNEY))
    if evidence is None or lesions is None:
        return
    grid, found, label = Grid.of(pred).crop(lesions), whole[lesions], label[lesions]
    voxel_mm3 = voxel_volume_mm3(grid.affine)
    for kind in LESIONS:
        numbered, sizes = components(found == kind)
        boxes = part_boxes(numbered)
        for number in range(1, int((sizes * voxel_mm3 >= MIN_LESION_MM3).sum()) + 1):
            box, mask = boxes[number - 1], numbered == number
            judged = judge_lesion(mask[box], grid.crop(box), kind, evidence, NOT_CALIBRATED)
            detections = match_lesions(mask, label == kind, grid.affine)
            yield {
                "kind": LABELS[kind].name,
                "volume_ml": round(sizes[number - 1] * voxel_mm3 / 1000, 2),
                "mean_output": judged.mean_output,
                "real": int(not detections.false_positives_ml),
            }
