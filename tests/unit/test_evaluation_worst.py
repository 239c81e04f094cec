from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from renalseg.evaluation.case_score import score_case
from renalseg.evaluation.worst import draw_case, save_case, worst_cases
from tests.factories.case_scores import make_score, tumor_free
from tests.factories.scenes import GRIDS, volume

NAN = math.nan


def test_the_lowest_come_first_and_a_missing_dice_is_left_out() -> None:
    scores = [
        make_score("good"),
        tumor_free("free"),
        tumor_free("false", 1),
        make_score("bad", 0.2),
    ]
    assert [score.case for score in worst_cases(scores, 3)] == ["bad", "false", "good"]
    assert worst_cases([make_score("none", NAN, NAN)]) == []


def drawn(codes: str) -> tuple:
    """A tumor that was missed at one height, and the CT."""
    grid = GRIDS[codes]
    label = np.zeros(grid.shape, np.uint8)
    middle = tuple(slice(side // 2 - 2, side // 2 + 3) for side in grid.shape)
    label[middle] = 1
    pred = label.copy()
    label[tuple(part.start for part in middle)] = 2
    return volume(pred, grid), volume(label, grid), volume(np.zeros(grid.shape, np.float32), grid)


@pytest.mark.parametrize("codes", ["as_drawn", "reversed", "sagittal"])
def test_a_picture_shows_the_label_and_the_prediction(codes: str) -> None:
    pred, label, ct = drawn(codes)
    figure = draw_case(score_case("x", pred, label), pred, label, ct)
    figure.canvas.draw()
    assert "x: kidney Dice 1.00, tumor Dice 0.00" in figure.get_suptitle()
    # label and prediction of the kidney, and the missed tumor, on each plane
    assert [len(axes.collections) for axes in figure.axes] == [3, 3, 3]


def test_a_picture_without_ct_and_without_anything_is_saved(tmp_path: Path) -> None:
    pred, label, _ = drawn("axial")
    nothing = volume(np.zeros(pred.shape[1:], np.uint8), GRIDS["axial"])
    for name, first, second in (("a", pred, label), ("b", nothing, nothing)):
        path = tmp_path / "worst" / f"{name}.png"
        save_case(score_case(name, first, second), first, second, None, path)
        assert image.imread(path).shape[0] > 400
    assert sorted(path.name for path in path.parent.iterdir()) == ["a.png", "b.png"]
