from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_surface_dice
from scipy import ndimage

from renalseg.evaluation.surface import surface_dice


def box(*spans: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((12, 12, 12), bool)
    mask[tuple(slice(*span) for span in spans)] = True
    return mask


def voxel(x: int, y: int, z: int) -> np.ndarray:
    return box((x, x + 1), (y, y + 1), (z, z + 1))


def test_equal_masks_agree_at_any_tolerance() -> None:
    mask = box((2, 9), (3, 8), (0, 12))  # it reaches the border
    assert surface_dice(mask, mask, 0.0, (1, 1, 1)) == 1.0


def test_masks_far_apart_do_not_agree() -> None:
    assert surface_dice(voxel(1, 1, 1), voxel(9, 9, 9), 3.0, (1, 1, 1)) == 0.0


def test_neighbors_share_four_of_their_eight_corners() -> None:
    # the surface of one voxel is an element of equal area at each of its corners
    assert surface_dice(voxel(4, 4, 4), voxel(5, 4, 4), 0.5, (1, 1, 1)) == pytest.approx(4 / 8)


def test_the_tolerance_belongs_to_it() -> None:
    assert surface_dice(voxel(4, 4, 4), voxel(5, 4, 4), 1.0, (1, 1, 1)) == 1.0


@pytest.mark.parametrize(("other", "agree"), [((5, 4, 4), 1.0), ((4, 4, 5), 0.5)])
def test_the_tolerance_is_in_mm(other: tuple[int, int, int], agree: float) -> None:
    found = surface_dice(voxel(4, 4, 4), voxel(*other), 2.0, (1, 1, 3))
    assert found == pytest.approx(agree)


def test_two_empty_masks_have_none() -> None:
    empty = np.zeros((4, 4, 4), bool)
    assert math.isnan(surface_dice(empty, empty, 1.0, (1, 1, 1)))


def monai_surface_dice(pred: np.ndarray, label: np.ndarray, mm: float, spacing: object) -> float:
    a, b = (torch.from_numpy(mask)[None, None] for mask in (pred, label))
    found = compute_surface_dice(
        a, b, [mm], include_background=True, spacing=spacing, use_subvoxels=True
    )
    return float(found)


@pytest.mark.parametrize("seed", range(6))
def test_any_shapes_agree_as_monai_counts(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shape, spacing = generator.integers(6, 22, 3), tuple(generator.uniform(0.4, 3, 3).tolist())
    pred, label = (ndimage.gaussian_filter(generator.normal(size=shape), 2) > 0 for _ in "ab")
    tolerance = float(generator.uniform(0.3, 4))
    expected = monai_surface_dice(pred, label, tolerance, spacing)
    assert surface_dice(pred, label, tolerance, spacing) == pytest.approx(expected, abs=1e-5)
