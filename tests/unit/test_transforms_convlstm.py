from __future__ import annotations

import numpy as np
import pytest
import torch

from renalseg.geometry import axis_codes, spacing_of
from renalseg.grids import Grid
from renalseg.synthesis.patches import SyntheticPatches
from renalseg.synthesis.tissues import Anatomy, Tissue
from renalseg.transforms import LimitSpacingd, TakeChanneld
from tests.factories.scenes import GRIDS, make_grid, volume, world_of

grids = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)  # 4 x 4.5 x 6 mm
WIDE = {"low": (1.0, 1.0, 1.0), "high": (9.0, 9.0, 9.0)}

# TakeChanneld


def test_take_channel_keeps_that_channel_and_the_grid() -> None:
    grid = GRIDS["axial"]
    values = np.stack([np.full(grid.shape, n, np.float32) for n in (7, 8, 9)])
    result = TakeChanneld("pred", channel=1)({"pred": volume(values, grid), "other": 3})
    assert result["pred"].shape == (1, *grid.shape)
    assert (result["pred"] == 8).all()
    np.testing.assert_array_equal(result["pred"].affine, grid.affine)
    assert result["other"] == 3


# LimitSpacingd


@grids
def test_limit_spacing_turns_to_right_anterior_superior_and_keeps_the_voxels(grid: Grid) -> None:
    image = volume(world_of(grid)[..., 0].astype(np.float32), grid)
    result = LimitSpacingd("image", **WIDE)({"image": image})["image"]
    assert axis_codes(result.affine) == ("R", "A", "S")
    np.testing.assert_allclose(spacing_of(result.affine), [4.0, 4.5, 6.0])
    assert result.numel() == image.numel()
    np.testing.assert_allclose(result[0], world_of(Grid.of(result))[..., 0], atol=1e-3)


@grids
def test_limit_spacing_brings_only_the_axes_beyond_to_the_limit(grid: Grid) -> None:
    image = volume(np.zeros(grid.shape, np.float32), grid)
    result = LimitSpacingd("image", low=(4.2, 1, 1), high=(9, 9, 5))({"image": image})["image"]
    np.testing.assert_allclose(spacing_of(result.affine), [4.2, 4.5, 5.0])


def test_limit_spacing_of_a_mask_gives_no_values_between() -> None:
    grid = make_grid("LPS")
    mask = volume((np.indices(grid.shape).sum(axis=0) % 2 * 5).astype(np.uint8), grid)
    result = LimitSpacingd("mask", low=(1, 1, 1), high=(3, 3, 3), mode="nearest")({"mask": mask})
    assert set(result["mask"].unique().tolist()) == {0, 5}


def test_limit_spacing_refuses_crossed_limits() -> None:
    with pytest.raises(ValueError, match="low <= high"):
        LimitSpacingd("image", low=(1, 1, 2), high=(1, 1, 1))


# The spacing of SyntheticPatches


def patches(spacing_to: tuple[float, float, float] | None) -> SyntheticPatches:
    tissue = torch.full((8, 8, 8), int(Tissue.VISCERAL), dtype=torch.uint8)
    tissue[4, 4, 4] = Tissue.KIDNEY
    anatomy = Anatomy(tissue, torch.zeros_like(tissue), (1.5, 1.5, 1.5))
    return SyntheticPatches([anatomy], (4, 4, 4), (0.6, 0.6, 1.0), spacing_to=spacing_to)


def test_each_patch_draws_its_spacing_alike_in_both_axes_of_a_slice() -> None:
    source = patches((1.0, 1.0, 5.0))
    generator = torch.Generator().manual_seed(0)
    drawn = np.array([source.draw_spacing(generator) for _ in range(50)])
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    assert (drawn >= (0.6, 0.6, 1.0)).all()
    assert (drawn <= (1.0, 1.0, 5.0)).all()
    assert (np.ptp(drawn, axis=0) > (0.3, 0.3, 3.0)).all()


def test_without_a_range_the_spacing_is_fixed() -> None:
    assert patches(None).draw_spacing(torch.Generator()) == (0.6, 0.6, 1.0)
