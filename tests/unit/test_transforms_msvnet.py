from __future__ import annotations

import numpy as np
import pytest
import torch

from renalseg.geometry import axis_codes, spacing_of
from renalseg.grids import Grid
from renalseg.synthesis.patches import SliceStacks, SyntheticPatches
from renalseg.synthesis.tissues import Anatomy, Tissue
from renalseg.transforms import (
    DropFluidTumorsd,
    LevelSlicesd,
    RandGrowMaskd,
    ToSliceSized,
    ToSliceStackd,
)
from tests.factories.scenes import EXTENT, GRIDS, make_grid, volume, world_of

grids = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)

# ToSliceSized


@grids
def test_slice_size_gives_the_longer_side_its_pixels(grid: Grid) -> None:
    image = volume(world_of(grid)[..., 0].astype(np.float32), grid)
    result = ToSliceSized("image", size=48, thickness=5.0)({"image": image})["image"]
    assert axis_codes(result.affine) == ("R", "A", "S")
    assert max(result.shape[1:3]) == 48
    np.testing.assert_allclose(spacing_of(result.affine)[0], spacing_of(result.affine)[1])
    np.testing.assert_allclose(spacing_of(result.affine)[2], 5.0)


def test_slice_size_keeps_pixels_square_and_values_in_place() -> None:
    grid = make_grid("LPS")  # 144 x 108 x 120 mm
    image = volume(world_of(grid)[..., 1].astype(np.float32), grid)
    result = ToSliceSized("image", size=72, thickness=2.0)({"image": image})["image"]
    np.testing.assert_allclose(spacing_of(result.affine), [EXTENT[0] / 72, 2.0, 2.0])
    assert result.shape == (1, 72, 54, 60)
    inner = (slice(3, -3),) * 3
    np.testing.assert_allclose(
        result[0][inner], world_of(Grid.of(result))[..., 1][inner], atol=1e-3
    )


@pytest.mark.parametrize(("limits", "pixel"), [((0.5, 1.5), 1.5), ((2.5, 3.0), 2.5)])
def test_slice_size_gives_way_to_the_limits(limits: tuple[float, float], pixel: float) -> None:
    grid = make_grid("RAS")
    image = volume(np.zeros(grid.shape, np.float32), grid)
    step = ToSliceSized("image", size=72, thickness=2.0, limits=limits)
    np.testing.assert_allclose(spacing_of(step({"image": image})["image"].affine)[:2], pixel)


def test_slice_size_of_a_mask_gives_no_values_between() -> None:
    grid = make_grid("RAS")
    mask = volume((np.indices(grid.shape).sum(axis=0) % 2 * 5).astype(np.uint8), grid)
    result = ToSliceSized("mask", size=60, thickness=2.0, mode="nearest")({"mask": mask})["mask"]
    assert set(result.unique().tolist()) == {0, 5}


# LevelSlicesd


def test_level_slices_brings_the_mean_of_each_slice_in_the_mask_to_the_value() -> None:
    image = torch.tensor([[10.0, 20.0, 90.0], [30.0, 40.0, 70.0]]).reshape(1, 2, 3, 1)
    image = torch.cat([image, image + 100], dim=-1)
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]]).reshape(1, 2, 3, 1).expand(1, 2, 3, 2)
    result = LevelSlicesd("image", "mask", mean=45.0)({"image": image, "mask": mask})["image"]
    expected = torch.tensor([[40.0, 50.0, 120.0], [60.0, 70.0, 100.0]])  # all by 30, then by -70
    torch.testing.assert_close(result[0, ..., 0], expected)
    torch.testing.assert_close(result[0, ..., 1], expected)


def test_level_slices_leaves_a_slice_without_mask() -> None:
    image = torch.rand(1, 3, 3, 2)
    mask = torch.zeros(1, 3, 3, 2)
    mask[..., 1] = 1
    result = LevelSlicesd("image", "mask", mean=45.0)({"image": image, "mask": mask})["image"]
    assert torch.equal(result[..., 0], image[..., 0])
    assert result[..., 1].mean() == pytest.approx(45.0)


def test_level_slices_keeps_the_grid() -> None:
    grid = GRIDS["axial"]
    image = volume(np.ones(grid.shape, np.float32), grid)
    mask = volume(np.ones(grid.shape, np.uint8), grid)
    result = LevelSlicesd("image", "mask", mean=45.0)({"image": image, "mask": mask})["image"]
    np.testing.assert_array_equal(result.affine, grid.affine)
    assert (result == 45).all()


# ToSliceStackd


def test_slice_stack_makes_slices_channels_and_keeps_the_center_of_the_label() -> None:
    image = torch.rand(1, 4, 6, 5)
    label = torch.arange(5).expand(1, 4, 6, 5)
    result = ToSliceStackd("image")({"image": image, "label": label})
    assert result["image"].shape == (5, 4, 6)
    assert torch.equal(result["image"][3], image[0, ..., 3])
    assert result["label"].shape == (1, 4, 6)
    assert (result["label"] == 2).all()


# SliceStacks


def rod_in_fat(cyst: bool = False) -> Anatomy:
    """A kidney in the lower half of a block of fat, with a cyst at one end of its lowest part."""
    tissue = torch.full((40, 40, 40), int(Tissue.VISCERAL), dtype=torch.uint8)
    tissue[15:25, 15:25, :20] = int(Tissue.KIDNEY)
    if cyst:
        tissue[15:25, 15:25, :4] = int(Tissue.CYST)
    return Anatomy(tissue, torch.zeros_like(tissue), (1.0, 1.0, 1.0))


def test_stacks_hold_kidney_in_their_center() -> None:
    stacks = SliceStacks([rod_in_fat()], (16, 16, 5), (1.0, 1.0, 1.0), reach_mm=30.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        stack = stacks.draw(generator)
        assert stack["image"].shape == stack["label"].shape == (1, 16, 16, 5)
        assert stack["label"][..., 2].any()


def test_patches_are_drawn_near_cysts_as_often_as_asked() -> None:
    def lowest(near_cyst: float) -> int:
        patches = SyntheticPatches(
            [rod_in_fat(cyst=True)],
            (8, 8, 8),
            (1.0, 1.0, 1.0),
            near_kidney=1.0,
            reach_mm=0.0,
            near_cyst=near_cyst,
        )
        generator = torch.Generator().manual_seed(0)
        return sum(float(patches._draw_center(0, generator)[2]) < 4 for _ in range(100))

    assert lowest(0.0) == 0
    assert 30 < lowest(0.5) < 70
    assert lowest(1.0) == 100


def test_without_a_level_slices_stay_as_they_are() -> None:
    image = torch.rand((1, 4, 4, 2))
    data = {"image": image, "mask": torch.ones_like(image)}
    assert LevelSlicesd("image", "mask", mean=None)(data)["image"] is image


@pytest.mark.parametrize("seed", range(4))
def test_masks_grow_and_shrink_in_their_slices(seed: int) -> None:
    mask = torch.zeros((1, 15, 15, 3), dtype=torch.uint8)
    mask[0, 5:10, 5:10, 1] = 1
    transform = RandGrowMaskd("mask", most=2, prob=1.0)
    transform.set_random_state(seed)
    changed = transform({"mask": mask})["mask"]
    width = 5 + 2 * transform.pixels
    assert abs(transform.pixels) <= 2
    assert changed.dtype == mask.dtype
    assert changed[0, :, 7, 1].sum() == width
    assert changed.sum() == width**2  # no other slice has any


def test_masks_stay_when_nothing_is_drawn() -> None:
    mask = torch.zeros((1, 9, 9, 2), dtype=torch.uint8)
    mask[0, 4, 4] = 1
    assert torch.equal(RandGrowMaskd("mask", most=2, prob=0.0)({"mask": mask})["mask"], mask)


# DropFluidTumorsd


def test_tumors_of_fluid_are_dropped_and_others_stay() -> None:
    grid = make_grid("RAS")
    probs, hu = np.zeros(grid.shape, np.float32), np.full(grid.shape, 150, np.float32)
    probs[1:4, 1:4, 1:4], hu[1:4, 1:4, 1:4] = 0.9, 10
    probs[6:9, 6:9, 6:9], hu[6:9, 6:9, 6:9] = 0.9, 35
    hu[1, 1:4, 1:4] = 200  # a third of the cyst: its median is still that of fluid
    case = {"pred": volume(probs, grid), "hu": volume(hu, grid)}
    result = DropFluidTumorsd("pred", image_key="hu", fluid_hu=20.0)(case)
    assert list(result) == ["pred"]
    probs[1:4, 1:4, 1:4] = 0
    np.testing.assert_array_equal(result["pred"][0], probs)
