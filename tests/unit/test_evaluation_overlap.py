from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.errors import InputError
from renalseg.evaluation.overlap import (
    KITS23,
    MASSES,
    TUMORS,
    Region,
    dice,
    kits19_dice,
    kits23_scores,
)
from renalseg.grids import Grid
from renalseg.labels import CYST, KIDNEY, TUMOR
from tests.factories.scenes import volume

GRID = Grid((6, 5, 4), np.diag([-0.8, -0.8, 3.0, 1.0]))


def labels(kidney: int, tumor: int, start: int = 0) -> MetaTensor:
    """Voxels in a row: first the kidney's, then the tumor's."""
    values = np.zeros(math.prod(GRID.shape), np.uint8)
    values[start : start + kidney] = KIDNEY
    values[start + kidney : start + kidney + tumor] = TUMOR
    return volume(values.reshape(GRID.shape), GRID)


def test_dice_of_equal_masks_is_one() -> None:
    mask = torch.tensor([0, 1, 1, 0])
    assert dice(mask, mask) == 1.0


def test_dice_of_masks_apart_is_zero() -> None:
    assert dice(torch.tensor([1, 1, 0, 0]), torch.tensor([0, 0, 0, 1])) == 0.0


def test_dice_counts_the_overlap_twice() -> None:
    assert dice(torch.tensor([1, 1, 1, 0]), torch.tensor([0, 0, 1, 0])) == pytest.approx(2 / 4)


def test_dice_of_empty_masks_is_not_a_number() -> None:
    assert math.isnan(dice(torch.zeros(4), torch.zeros(4)))


def test_one_empty_mask_is_zero() -> None:
    assert dice(torch.zeros(4), torch.ones(4)) == 0.0


def test_a_tumor_counts_as_kidney_too() -> None:
    # tumor labeled as kidney: the whole is right, the tumor is missed
    assert kits19_dice(labels(40, 0), labels(30, 10)) == {"kidney": 1.0, "tumor": 0.0}


def test_tumor_dice_counts_the_tumor_alone() -> None:
    scores = kits19_dice(labels(30, 10), labels(25, 15))
    assert scores["kidney"] == 1.0
    assert scores["tumor"] == pytest.approx(2 * 10 / 25)


def test_many_voxels_do_not_overflow() -> None:
    large = torch.ones((1, 80, 80, 80), dtype=torch.uint8)
    assert dice(large, large) == 1.0


def test_another_shape_is_refused() -> None:
    pred = MetaTensor(torch.zeros((1, 6, 5, 3)), affine=labels(1, 1).affine)
    with pytest.raises(InputError, match=r"\(6, 5, 3\) and \(6, 5, 4\)"):
        kits19_dice(pred, labels(1, 1))


def test_a_mirrored_grid_is_refused() -> None:
    label = labels(30, 10)
    mirrored = MetaTensor(label.as_tensor(), affine=torch.diag(torch.tensor([0.8, -0.8, 3.0, 1.0])))
    with pytest.raises(InputError, match="on one grid"):
        kits19_dice(mirrored, label)


def test_the_classes_of_kits23_are_nested() -> None:
    assert [set(region.values) for region in KITS23] == [{1, 2, 3}, {2, 3}, {2}]


def test_a_cyst_is_a_mass_but_no_tumor() -> None:
    pred, label = np.zeros((2, 4, 4, 4), np.uint8)
    pred[:2], label[:2] = TUMOR, CYST
    assert kits23_scores(pred, label, MASSES, (1, 1, 1)) == (1.0, 1.0)
    assert kits23_scores(pred, label, TUMORS, (1, 1, 1)) == (0.0, 0.0)


@pytest.mark.parametrize("region", KITS23, ids=lambda region: region.name)
@pytest.mark.parametrize(("pred", "label", "score"), [(0, 0, 1.0), (2, 0, 0.0), (0, 2, 0.0)])
def test_kits23_gives_empty_masks_a_score(
    region: Region, pred: int, label: int, score: float
) -> None:
    a, b = (np.full((3, 3, 3), value, np.uint8) for value in (pred, label))
    assert kits23_scores(a, b, region, (1, 1, 1)) == (score, score)


def test_kits23_dice_counts_the_overlap_twice() -> None:
    pred, label = np.zeros((2, 4, 4, 4), np.uint8)
    pred[:1], label[:3] = TUMOR, TUMOR
    assert kits23_scores(pred, label, TUMORS, (1, 1, 1))[0] == pytest.approx(2 * 1 / 4)
