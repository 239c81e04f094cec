"""The outline of the kidneys between those of two networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.transforms import BetweenOutlinesd

AFFINE = torch.diag(torch.tensor([-0.8, -0.8, 3.0, 1.0], dtype=torch.float64))
SHAPE = (40, 30, 12)


def box(*slices: slice, label: int = KIDNEY) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[slices] = label
    return labels


def between(own: np.ndarray, other: np.ndarray, weight: float = 0.5) -> np.ndarray:
    volumes = {"pred": own, "refined": other}
    data = {key: MetaTensor(torch.from_numpy(a)[None], affine=AFFINE) for key, a in volumes.items()}
    result = BetweenOutlinesd("pred", other_key="refined", weight=weight)(data)["pred"]
    assert torch.equal(result.affine, AFFINE)
    assert np.array_equal(data["pred"][0].numpy(), own), "the input is as it was"
    found: np.ndarray = result[0].numpy()
    return found


SMALL = box(slice(10, 20), slice(10, 20), slice(3, 9))
WIDE = box(slice(10, 28), slice(10, 20), slice(3, 9))  # eight voxels further


@pytest.mark.parametrize(("own", "other"), [(SMALL, WIDE), (WIDE, SMALL)])
def test_what_one_alone_calls_kidney_is_halved(own: np.ndarray, other: np.ndarray) -> None:
    expected = box(slice(10, 24), slice(10, 20), slice(3, 9))
    middle = (slice(None), slice(14, 16), slice(5, 7))  # elsewhere a side of the leak is nearer
    np.testing.assert_array_equal(between(own, other)[middle], expected[middle])


def test_the_weight_says_whose_outline_counts() -> None:
    for weight, expected in ((0.0, SMALL), (1.0, WIDE)):
        np.testing.assert_array_equal(between(WIDE, SMALL, weight), expected)
        np.testing.assert_array_equal(between(SMALL, WIDE, 1 - weight), expected)
    sizes = [between(WIDE, SMALL, weight).sum() for weight in (0.2, 0.5, 0.8)]
    assert SMALL.sum() < sizes[0] < sizes[1] < sizes[2] < WIDE.sum()


def test_distances_are_in_mm() -> None:
    thick = box(slice(10, 20), slice(10, 20), slice(3, 12))
    found = between(thick, SMALL)
    # three slices of 3 mm further, but the sides are 0.8 mm away
    assert found[14, 14, 9] == KIDNEY
    assert found[10, 14, 9] == 0


def test_lesions_stay_and_what_is_added_is_kidney() -> None:
    own = np.where(WIDE & box(slice(26, 28), slice(12, 18), slice(4, 8)), TUMOR, WIDE)
    own[11:13, 12:14, 4:6] = CYST
    found = between(own, SMALL)
    for kind in (TUMOR, CYST):
        np.testing.assert_array_equal(found == kind, own == kind)
    assert set(np.unique(between(SMALL, WIDE))) == {0, KIDNEY}


def test_a_piece_that_the_other_does_not_know_goes() -> None:
    apart = box(slice(2, 6), slice(2, 6), slice(1, 4))
    np.testing.assert_array_equal(between(SMALL | apart, SMALL), SMALL)
    np.testing.assert_array_equal(between(SMALL, SMALL | apart), SMALL)


def test_nothing_is_nothing() -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    np.testing.assert_array_equal(between(nothing, nothing), nothing)
