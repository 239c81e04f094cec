from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.errors import InputError
from renalseg.evaluation.case_score import Volume, score_case
from renalseg.grids import Grid
from tests.factories.scenes import volume

GRID = Grid((30, 12, 10), np.diag([-2.0, -2.0, 5.0, 1.0]))  # a voxel has 20 mm3


def labels(kidney: tuple[int, int], tumor: tuple[int, int], value: int = 2) -> MetaTensor:
    """A block of kidney from one x to another, and one of tumor in it."""
    values = np.zeros(GRID.shape, np.uint8)
    values[kidney[0] : kidney[1], 3:9, 3:8] = 1
    values[tumor[0] : tumor[1], 3:9, 3:8] = value
    return volume(values, GRID)


def test_scores_are_those_of_the_shapes() -> None:
    score = score_case("a", labels((5, 15), (11, 15)), labels((5, 15), (9, 15)))
    assert score.kits19["kidney"] == 1.0
    assert score.kits19["tumor"] == pytest.approx(2 * 4 / 10)
    assert score.kits19["composite"] == pytest.approx(0.9)
    assert score.dice == pytest.approx({"kidney_and_masses": 1.0, "masses": 0.8, "tumor": 0.8})
    assert score.surface_dice["kidney_and_masses"] == 1.0
    assert 0.5 < score.surface_dice["tumor"] < 1.0
    assert score.volumes["tumor"].pred == pytest.approx(4 * 0.6)
    assert score.volumes["tumor"].label == pytest.approx(6 * 0.6)
    (lesion,) = score.tumors.lesions
    assert lesion.iou == pytest.approx(4 / 6)
    assert lesion.diameter_mm == pytest.approx(math.hypot(10, 10, 20))


def test_a_cyst_is_kidney_and_no_tumor() -> None:
    score = score_case("a", labels((5, 15), (0, 0)), labels((5, 15), (9, 15), value=3))
    assert score.kits19["kidney"] == 1.0
    assert math.isnan(score.kits19["tumor"])
    assert score.dice == {"kidney_and_masses": 1.0, "masses": 0.0, "tumor": 1.0}
    assert not score.has_tumor


def test_a_case_without_anything_has_no_dice() -> None:
    empty = labels((0, 0), (0, 0))
    score = score_case("a", empty, empty)
    assert all(map(math.isnan, score.kits19.values()))
    assert set(score.dice.values()) == {1.0}
    assert score.tumors.lesions == ()


def test_where_the_kidneys_lie_does_not_matter() -> None:
    first, second = (labels((x, x + 9), (x + 2, x + 6)) for x in (0, 21))
    wrong, wrong_too = (labels((x, x + 8), (x + 3, x + 6)) for x in (0, 21))
    a, b = score_case("a", wrong, first), score_case("a", wrong_too, second)
    assert a.surface_dice == pytest.approx(b.surface_dice)
    assert (a.kits19, a.tumors) == (b.kits19, b.tumors)


def test_another_grid_is_refused_by_the_name_of_the_case() -> None:
    label = labels((5, 15), (9, 15))
    moved = label.affine + torch.tensor([[0, 0, 0, 1.0]] + [[0] * 4] * 3)
    with pytest.raises(InputError, match="prediction and label of case_1 on one grid"):
        score_case("case_1", MetaTensor(label.as_tensor(), affine=moved), label)


def test_a_volume_has_its_error() -> None:
    assert Volume(12.0, 10.0).error_ml == 2.0
    assert Volume(12.0, 10.0).error_percent == pytest.approx(20.0)
    assert math.isnan(Volume(12.0, 0.0).error_percent)
