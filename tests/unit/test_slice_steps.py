from __future__ import annotations

import numpy as np
import pytest

from renalseg.dicom.read.slice_spacing import find_gaps, grid_step, jitter_of, usual_step

FINE, COARSE = [1.5] * 10, [3.0] * 10


@pytest.mark.parametrize(
    ("steps", "gaps"),
    [
        (FINE, []),
        ([1.5] * 4 + [3.0] + [1.5] * 4, [4]),
        ([3.0] + [1.5] * 4, [0]),
        ([1.5] * 4 + [3.0], [4]),
        ([1.5] * 4 + [2.2] + [1.5] * 4, []),  # not enough for a slice to be missing
        ([1.5] * 4 + [3.0] * 5 + [1.5] * 4, [6]),  # alternate slices missing
        ([1.5] * 2, []),
        ([1.5], []),
        ([1.5, 3.0, 1.5], [1]),
        ([4.0, 1.0] * 6, []),  # two stacks that interleave
    ],
)
def test_gaps(steps: list[float], gaps: list[int]) -> None:
    assert find_gaps(np.array(steps)) == gaps


@pytest.mark.parametrize("order", [1, -1])
def test_a_change_of_spacing_is_no_gap(order: int) -> None:
    assert find_gaps(np.array((FINE + COARSE)[::order])) == []
    assert find_gaps(np.array((FINE + COARSE + FINE)[::order])) == []


@pytest.mark.parametrize(("missing", "gap"), [(4, [4]), (14, [14])])
def test_a_gap_beside_a_change_of_spacing(missing: int, gap: list[int]) -> None:
    steps = np.array(FINE + COARSE + COARSE)
    steps[missing] *= 2  # in the fine part: as wide as is usual in the coarse one
    assert find_gaps(steps) == gap


def test_the_usual_step_is_that_around() -> None:
    steps = np.array([*FINE, *COARSE, 9.0, *COARSE])
    assert usual_step(steps, 2) == 1.5
    assert usual_step(steps, 20) == 3.0
    assert usual_step(steps[:1], 0) == 1.5


def test_jitter_is_a_share_of_the_median_step() -> None:
    worst, jitter = jitter_of(np.array([2.0, 2.0, 1.9, 2.05]))
    assert worst == 2
    assert jitter == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (FINE + COARSE, 1.5),
        ([1.5] * 5 + [1.6, 1.4] + [1.5] * 5, 1.5),  # one slice out of place: the others stay
        ([2.0, 3.0] * 5, 2.5),  # a quarter of a millimeter off
        ([2.0] * 5 + [3.0] * 5, 1.0),  # 2 mm would be up to 1 mm off
        ([4.0] * 5 + [5.0] * 5, 4.5 / 4),  # no fraction of 4 mm that is coarse enough comes nearer
        ([2.0] * 9 + [0.02, 1.98], 2.0 * 10 / 11 / 4),  # a near duplicate: memory is bounded
    ],
)
def test_step_of_the_grid(steps: list[float], expected: float) -> None:
    heights = np.concatenate([[0.0], np.cumsum(steps)])
    assert grid_step(heights) == pytest.approx(expected)
