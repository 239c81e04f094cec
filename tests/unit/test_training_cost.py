from __future__ import annotations

import pytest
from torch import nn

from tools.training_cost import BANDWIDTH, REFERENCE_S, Cost, hours, input_shape, measure

VOXELS = 8**3


def test_multiplications_of_both_passes_and_what_is_kept_are_counted() -> None:
    network = nn.Sequential(
        nn.Conv3d(1, 2, 3, padding=1, bias=False), nn.Conv3d(2, 4, 1, bias=False)
    )
    cost = measure(network, (3, 1, 8, 8, 8))
    first, second = 27 * 2 * VOXELS * 3, 2 * 4 * VOXELS * 3
    # forward, gradient of the weights, and of the second convolution that of its input
    assert cost.multiplications == first * 2 + second * 3
    assert cost.weights == 54 + 8
    # the input of each convolution in bfloat16, and the copies of the weights in it
    assert cost.saved == pytest.approx(2 * 3 * VOXELS * (1 + 2), rel=0.05)


def test_hours_follow_the_larger_ratio_and_the_bandwidth() -> None:
    of = Cost(multiplications=100.0, saved=1000.0, weights=1)
    cost = Cost(multiplications=50.0, saved=2000.0, weights=1)
    on_a100 = hours(cost, of, 3600, "A100")
    assert on_a100 == pytest.approx(2 * REFERENCE_S)
    ratio = BANDWIDTH["A100"] / BANDWIDTH["RTX 3090"]
    assert hours(cost, of, 3600, "RTX 3090") == pytest.approx(ratio * on_a100)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        ({"roi_size": [8, 9, 4]}, [2, 1, 8, 9, 4]),
        ({"size": 16, "slices": 5}, [2, 5, 16, 16]),
        ({"field": [20, 12], "slices": 5}, [2, 6, 20, 12]),
        ({"box_size": [8, 8, 4]}, [2, 1, 8, 8, 8]),
    ],
)
def test_the_input_is_that_of_a_batch(config: dict[str, object], shape: list[int]) -> None:
    assert input_shape({"batch_size": 2, **config}) == shape
