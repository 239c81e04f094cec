from __future__ import annotations

import numpy as np
import pytest
import torch

from renalseg.labels import BACKGROUND, KIDNEY, TUMOR
from renalseg.transforms import NestLabelsd, RestoreGridd
from tests.factories.scenes import make_grid, volume

GRID = make_grid("RAS")
ROW = (slice(None), 4, 4)


def restore(kidney: list[float], tumor: list[float], threshold: float = 0.5) -> list[int]:
    """Labels of voxels with these probabilities, the rest of the volume empty."""
    probs = np.zeros((2, *GRID.shape), np.float32)
    probs[0, : len(kidney), 4, 4] = kidney
    probs[1, : len(tumor), 4, 4] = tumor
    transform = RestoreGridd("pred", threshold=threshold, nested=True)
    pred = transform({"pred": volume(probs, GRID), "source": GRID})["pred"]
    assert pred.dtype == torch.uint8
    assert pred.shape == (1, *GRID.shape)
    labels: list[int] = pred[0][ROW][: len(kidney)].tolist()
    return labels


def test_nest_labels_puts_tumor_into_kidney() -> None:
    label = torch.tensor([BACKGROUND, KIDNEY, TUMOR], dtype=torch.uint8).reshape(1, 3, 1, 1)
    masks = NestLabelsd("label")({"label": label, "other": 3})["label"]
    assert masks.dtype == torch.uint8
    assert masks.flatten(1).tolist() == [[0, 1, 1], [0, 0, 1]]


def test_restore_decides_each_nested_channel_by_the_threshold() -> None:
    # 0.6 and 0.4: no class would hold more than half of a softmax, yet this is kidney
    assert restore([0.9, 0.6, 0.9, 0.1], [0.1, 0.4, 0.8, 0.1]) == [1, 1, 2, 0]


def test_restore_takes_no_tumor_outside_the_kidney() -> None:
    assert restore([0.9, 0.4], [0.2, 0.9]) == [1, 0]


@pytest.mark.parametrize(("threshold", "expected"), [(0.2, [2, 2]), (0.7, [1, 2])])
def test_restore_takes_the_threshold_for_nested_channels(
    threshold: float, expected: list[int]
) -> None:
    assert restore([0.9, 0.9], [0.5, 0.8], threshold) == expected


def test_nesting_and_restoring_are_inverse() -> None:
    labels = np.zeros((1, *GRID.shape), np.uint8)
    labels[0, 2:9, 3:8, 2:6] = KIDNEY
    labels[0, 4:7, 4:7, 3:5] = TUMOR
    masks = NestLabelsd("label")({"label": volume(labels, GRID)})["label"].float()
    case = {"pred": volume(masks.numpy(), GRID), "source": GRID}
    np.testing.assert_array_equal(RestoreGridd("pred", nested=True)(case)["pred"], labels)
