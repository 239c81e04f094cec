from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg import labels
from renalseg.evaluation.lesions import SIZES_CM, match_lesions
from renalseg.evaluation.summary import summarize
from renalseg.findings.measurements import measure
from renalseg.labels import TUMOR, Segment, Side, size_category
from tests.factories.case_scores import make_score

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


def test_the_diameter_goes_from_center_to_center_in_space() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[2:5, 3:7, 4:6] = True
    (lesion,) = match_lesions(mask, mask, AFFINE).lesions
    assert lesion.diameter_mm == pytest.approx(math.sqrt(4**2 + 6**2 + 5**2))


@pytest.mark.parametrize("affine", [AFFINE, KITS])
@pytest.mark.parametrize("radii", [(11, 12, 35), (33, 20, 19), (15, 36, 20), (7, 8, 9)])
def test_the_size_is_the_one_that_a_result_gives_the_tumor(
    affine: np.ndarray, radii: tuple[float, float, float]
) -> None:
    """One definition: of a diameter in mm, and of the limits of the classes."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    shape = np.ceil(2 * np.array(radii) / steps).astype(int) + 3
    offset = (np.indices(shape).reshape(3, -1).T - (shape - 1) / 2) * steps
    mask = (((offset / radii) ** 2).sum(axis=1) <= 1).reshape(shape)
    (lesion,) = match_lesions(mask, mask, affine).lesions
    image = MetaTensor(torch.zeros(1, *shape), affine=torch.from_numpy(affine))
    segment = Segment(1, "Left kidney tumor 1", TUMOR, Side.LEFT, 1.0)
    (measured,) = measure(image, mask.astype(np.uint8), [segment])
    assert lesion.diameter_mm == pytest.approx(measured.longest_mm, abs=0.006)
    scores = [make_score(lesions=((lesion.diameter_mm, 0.5),))]
    (stratum,) = (part.name for part in summarize(scores).by_size if part.lesions)
    assert stratum == size_category(lesion.diameter_mm) or lesion.diameter_mm <= 40
    assert set(labels.SIZES_CM) < set(SIZES_CM)
