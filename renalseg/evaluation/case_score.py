"""The scores of one case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from monai.data import MetaTensor

from renalseg.components import bounding_box
from renalseg.evaluation.lesions import Detections, match_lesions
from renalseg.evaluation.overlap import (
    KIDNEY_AND_MASSES,
    KITS23,
    TUMORS,
    Labels,
    check_grids,
    kits19_dice,
    kits23_scores,
)
from renalseg.geometry import voxel_volume_mm3
from renalseg.grids import Grid

KITS19_NAMES = ("kidney", "tumor", "composite")


@dataclass(frozen=True)
class Volume:
    """The volume of a region, in ml.

    Attributes:
        pred: What was predicted.
        label: What is labeled.
    """

    pred: float
    label: float

    @property
    def error_ml(self) -> float:
        """Predicted minus labeled volume."""
        return self.pred - self.label

    @property
    def error_percent(self) -> float:
        """The error in percent of the labeled volume; NaN without one."""
        return 100 * self.error_ml / self.label if self.label else float("nan")


@dataclass(frozen=True)
class CaseScore:
    """How well the prediction of a case matches its label.

    Attributes:
        case: Name.
        kits19: Dice of "kidney" and "tumor", and their mean, "composite"; NaN as `overlap` says.
        dice: Dice of each region of KiTS23.
        surface_dice: Surface Dice of each.
        volumes: Of the kidneys with their masses, and of the tumors, by the names of the regions.
        tumors: Lesion by lesion.
    """

    case: str
    kits19: Mapping[str, float]
    dice: Mapping[str, float]
    surface_dice: Mapping[str, float]
    volumes: Mapping[str, Volume]
    tumors: Detections

    @property
    def has_tumor(self) -> bool:
        """Whether a tumor is labeled."""
        return self.volumes[TUMORS.name].label > 0


def score_case(name: str, pred: MetaTensor, label: MetaTensor) -> CaseScore:
    """Scores a prediction.

    Args:
        name: Name of the case.
        pred: (1, X, Y, Z) uint8: 0 background, 1 kidney, 2 tumor, 3 cyst.
        label: The same on the same grid.

    Raises:
        InputError: The grids differ.
    """
    check_grids(pred, label, f"prediction and label of {name}")
    pred, label = _cropped(pred, label)
    dice = kits19_dice(pred, label)
    values, truth = pred[0].numpy(), label[0].numpy()
    tumor, true_tumor = (np.isin(part, TUMORS.values) for part in (values, truth))
    grid = Grid.of(label)
    regions = {r.name: kits23_scores(values, truth, r, grid.spacing) for r in KITS23}
    return CaseScore(
        case=name,
        kits19=dice | {"composite": (dice["kidney"] + dice["tumor"]) / 2},
        dice={region: overlap for region, (overlap, _) in regions.items()},
        surface_dice={region: surface for region, (_, surface) in regions.items()},
        volumes=_volumes(values, truth, voxel_volume_mm3(grid.affine) / 1000),
        tumors=match_lesions(tumor, true_tumor, grid.affine),
    )


def _cropped(pred: MetaTensor, label: MetaTensor) -> tuple[MetaTensor, MetaTensor]:
    """Crops both to the box around their labels, a small part of a CT."""
    a, b = pred.as_tensor(), label.as_tensor()
    box = bounding_box((a[0].numpy() > 0) | (b[0].numpy() > 0))
    box = box or (slice(0, 1),) * 3
    affine = label.affine.new_tensor(Grid.of(label).crop(box).affine)
    first, second = (MetaTensor(x[:, *box].clone(), affine=affine) for x in (a, b))
    return first, second


def _volumes(pred: Labels, label: Labels, voxel_ml: float) -> dict[str, Volume]:
    volumes = {}
    for region in (KIDNEY_AND_MASSES, TUMORS):
        counts = (int(np.isin(values, region.values).sum()) for values in (pred, label))
        volumes[region.name] = Volume(*(count * voxel_ml for count in counts))
    return volumes
