from __future__ import annotations

import math

import numpy as np
import pytest

from renalseg.evaluation.lesions import axial_axis, axial_diameter, match_lesions

AFFINE = np.diag([-2.0, -2.0, 5.0, 1.0])  # a voxel has 20 mm3
KITS = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-5, 0, 0, 0], [0, 0, 0, 1.0]])  # I, P, L


def tumors(*spans: tuple[int, int]) -> np.ndarray:
    """Blocks of 4 x 4 voxels from one x to another: 0.32 ml a step."""
    mask = np.zeros((40, 6, 6), bool)
    for first, last in spans:
        mask[first:last, 1:5, 1:5] = True
    return mask


def found(pred: np.ndarray, label: np.ndarray) -> tuple[list[bool], int]:
    result = match_lesions(pred, label, AFFINE)
    return [lesion.found for lesion in result.lesions], len(result.false_positives_ml)


def test_an_overlapped_lesion_is_found() -> None:
    assert found(tumors((2, 10)), tumors((4, 12))) == ([True], 0)


def test_iou_and_volumes_are_those_of_the_shapes() -> None:
    result = match_lesions(tumors((2, 10), (20, 23)), tumors((4, 12)), AFFINE)
    (lesion,) = result.lesions
    assert lesion.iou == pytest.approx(6 / 10)
    assert lesion.volume_ml == pytest.approx(8 * 0.32)
    assert result.false_positives_ml == pytest.approx((3 * 0.32,))


@pytest.mark.parametrize(("last", "hit"), [(11, True), (12, False)])
def test_a_tenth_of_intersection_over_union_is_enough(last: int, hit: bool) -> None:
    # 1 of 10 steps, and 1 of 11
    assert found(tumors((1, 2)), tumors((1, last))) == ([hit], 0 if hit else 1)


def test_a_missed_lesion_and_a_false_one_are_both_counted() -> None:
    assert found(tumors((20, 24)), tumors((2, 10))) == ([False], 1)


def test_one_prediction_finds_one_of_two_lesions() -> None:
    assert found(tumors((2, 20)), tumors((2, 10), (12, 20))) == ([True, False], 0)


def test_a_split_prediction_is_no_false_positive() -> None:
    assert found(tumors((2, 8), (10, 20)), tumors((2, 20))) == ([True], 0)


def test_matches_are_made_so_that_most_lesions_are_found() -> None:
    # the long prediction overlaps the first lesion more, which only the short one can find, too
    pred, label = tumors((2, 4), (5, 24)), tumors((2, 14), (16, 22))
    assert found(pred, label) == ([True, True], 0)


@pytest.mark.parametrize(("steps", "count"), [(1, 1), (0, 0)])
def test_specks_are_no_lesions(steps: int, count: int) -> None:
    speck = tumors((2, 2 + steps))
    speck[30, 2, 2] = True  # 20 mm3
    empty = tumors()
    assert len(match_lesions(empty, speck, AFFINE).lesions) == count
    assert len(match_lesions(speck, empty, AFFINE).false_positives_ml) == count


def test_neither_tumor_nor_prediction_is_nothing() -> None:
    assert match_lesions(tumors(), tumors(), AFFINE) == ((), ())


def test_the_largest_lesion_comes_first() -> None:
    result = match_lesions(tumors(), tumors((2, 4), (10, 20)), AFFINE)
    assert [lesion.volume_ml for lesion in result.lesions] == pytest.approx([3.2, 0.64])


@pytest.mark.parametrize(("affine", "axis"), [(AFFINE, 2), (KITS, 0)])
def test_the_axial_axis_is_the_patients(affine: np.ndarray, axis: int) -> None:
    assert axial_axis(affine) == axis


def test_the_diameter_goes_from_edge_to_edge() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[2:5, 3:7, 4] = True
    assert axial_diameter(mask, 2, (1, 1, 7)) == pytest.approx(5)
    assert axial_diameter(mask, 2, (2, 1, 7)) == pytest.approx(math.hypot(6, 4))


def test_the_diameter_is_that_of_the_widest_slice() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[4, 4, :] = True  # long across the slices, which does not count
    mask[4, 2:8, 5] = True
    assert axial_diameter(mask, 2, (3, 4, 50)) == pytest.approx(math.hypot(3, 24))


def test_the_diameter_goes_across_a_gap() -> None:
    mask = np.zeros((12, 9, 9), bool)
    mask[[1, 9], 4, 4] = True
    assert axial_diameter(mask, 2, (1, 1, 1)) == pytest.approx(math.hypot(9, 1))


def test_an_empty_mask_has_no_diameter() -> None:
    assert axial_diameter(np.zeros((3, 3, 3), bool), 0, (1, 1, 1)) == 0
