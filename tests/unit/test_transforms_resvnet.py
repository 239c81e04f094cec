from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from renalseg.geometry import axis_codes
from renalseg.grids import Grid
from renalseg.labels import KIDNEY, TUMOR
from renalseg.transforms import (
    CropToBodyd,
    CropToKidneysd,
    EachKidney,
    FillOutsided,
    JoinKidneysd,
    KeepLargestComponentsd,
    MergeKidneysd,
    RestoreGridd,
    SplitKidneysd,
    ToShaped,
    TumorInKidneyd,
)
from tests.factories.scenes import GRIDS, centroid, ellipsoid, volume, world_of

grids = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
CENTER = (7.0, -11.0, 130.0)  # of all grids, mm
BODY = (CENTER, (50.0, 36.0, 500.0))  # center and radii, mm
RIGHT = ((45.0, -11.0, 140.0), (16.0, 15.0, 26.0))
LEFT = ((-30.0, -11.0, 130.0), (14.0, 13.0, 22.0))
MM2 = Grid((20, 16, 6), np.diag([2.0, 2.0, 2.0, 1.0]))


def body_on(grid: Grid, *more: tuple[Any, Any]) -> MetaTensor:
    """HU of a body, and of further ellipsoids, in air."""
    hu = np.full(grid.shape, -1000, np.float32)
    for center, radii in (BODY, *more):
        hu[ellipsoid(grid, center, radii)] = 40
    return volume(hu, grid)


def kidneys_on(grid: Grid, *kidneys: tuple[Any, Any]) -> dict[str, Any]:
    """An image whose values are the world x, and a mask of the kidneys."""
    mask = np.zeros(grid.shape, bool)
    for center, radii in kidneys:
        mask |= ellipsoid(grid, center, radii)
    image = volume(world_of(grid)[..., 0].astype(np.float32), grid)
    return {"image": image, "kidney": volume(mask.astype(np.uint8), grid), "source": grid}


def mask_of(*voxels: tuple[int, int, int], grid: Grid = MM2) -> MetaTensor:
    """A mask of single voxels."""
    values = np.zeros(grid.shape, np.uint8)
    values[tuple(np.transpose(voxels))] = 1
    return volume(values, grid)


# CropToBodyd


def test_crop_to_body_keeps_the_box_of_the_body_and_all_slices() -> None:
    hu = np.full(MM2.shape, -1000, np.float32)
    hu[4:15, 3:12] = 40
    result = CropToBodyd("image", opening_mm=4)({"image": volume(hu, MM2)})["image"]
    assert result.shape == (1, 11, 9, 6)
    assert (result == 40).all()
    np.testing.assert_allclose(result.affine[:3, 3], [8, 6, 0])


def test_crop_to_body_looks_at_the_middle_slice_alone() -> None:
    hu = np.full(MM2.shape, -1000, np.float32)
    hu[4:15, 3:12] = 40
    hu[:, :, 0] = 40
    result = CropToBodyd("image", opening_mm=4)({"image": volume(hu, MM2)})["image"]
    assert result.shape == (1, 11, 9, 6)


def test_crop_to_body_leaves_out_the_table() -> None:
    hu = np.full(MM2.shape, -1000, np.float32)
    hu[4:15, 3:12] = 40
    hu[:, 14] = 200  # 2 mm thick
    hu[0:3, 0:3] = 200  # an arm: thick, but smaller
    result = CropToBodyd("image", opening_mm=4)({"image": volume(hu, MM2)})["image"]
    assert result.shape == (1, 11, 9, 6)


@grids
def test_crop_to_body_finds_the_slices_on_any_grid(grid: Grid) -> None:
    result = CropToBodyd("image")({"image": body_on(grid)})["image"]
    along = int(np.abs(grid.affine[2, :3]).argmax())
    assert result.shape[1 + along] == grid.shape[along]
    cropped = np.delete(result.shape[1:], along)
    assert (cropped < np.delete(grid.shape, along)).all()
    assert (result > 0).sum() == (body_on(grid) > 0).sum()
    middle = centroid(result[0].numpy() > 0, Grid.of(result))
    np.testing.assert_allclose(middle, CENTER, atol=3)


def test_crop_to_body_keeps_a_volume_without_body() -> None:
    air = volume(np.full(MM2.shape, -1000, np.float32), MM2)
    assert CropToBodyd("image")({"image": air})["image"].shape == air.shape


def test_crop_to_body_copies_nothing() -> None:
    image = body_on(GRIDS["axial"])
    result = CropToBodyd("image")({"image": image})["image"]
    assert result.untyped_storage().data_ptr() == image.untyped_storage().data_ptr()


# ToShaped


@grids
def test_to_shape_gives_the_shape_along_right_anterior_superior(grid: Grid) -> None:
    result = ToShaped("image", (10, 9, 8))(kidneys_on(grid, RIGHT))["image"]
    assert result.shape == (1, 10, 9, 8)
    assert axis_codes(result.affine) == ("R", "A", "S")


@grids
def test_to_shape_keeps_the_field_of_view(grid: Grid) -> None:
    target = grid.reshaped((10, 9, 8))
    size = np.array(target.shape) * np.linalg.norm(target.affine[:3, :3], axis=0)
    np.testing.assert_allclose(size, [144, 108, 120])
    middle = target.affine @ [4.5, 4, 3.5, 1]
    np.testing.assert_allclose(middle[:3], CENTER)


@grids
def test_to_shape_keeps_values_where_they_are(grid: Grid) -> None:
    result = ToShaped("image", (24, 22, 26))(kidneys_on(grid))["image"]
    inner = (slice(3, -3),) * 3
    world_x = world_of(Grid.of(result))[..., 0]
    np.testing.assert_allclose(result[0].numpy()[inner], world_x[inner], atol=0.3)


def test_to_shape_takes_a_mode_for_each_key() -> None:
    transform = ToShaped(["image", "kidney"], (11, 10, 9), mode=["linear", "nearest"])
    result = transform(kidneys_on(GRIDS["axial"], RIGHT))
    assert result["image"].dtype == torch.float32
    assert result["kidney"].dtype == torch.uint8
    assert set(result["kidney"].unique().tolist()) == {0, 1}


# FillOutsided


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_fill_outside_keeps_the_image_within_the_mask(value: float) -> None:
    image = volume(np.full(MM2.shape, 0.5, np.float32), MM2)
    mask = mask_of((3, 4, 5), (0, 0, 0))
    result = FillOutsided("image", "mask", value)({"image": image, "mask": mask})["image"]
    assert (result[mask > 0] == 0.5).all()
    assert (result[mask == 0] == value).all()
    assert (image == 0.5).all()


# KeepLargestComponentsd


@pytest.mark.parametrize(("min_voxels", "kept"), [(0, 2), (2, 2), (3, 1), (4, 0)])
def test_keep_largest_drops_what_has_fewer_voxels(min_voxels: int, kept: int) -> None:
    mask = mask_of((0, 0, 0), (5, 5, 0), (5, 5, 1), (9, 9, 0), (9, 9, 1), (9, 9, 2))
    result = KeepLargestComponentsd("pred", count=2, min_voxels=min_voxels)({"pred": mask})["pred"]
    assert result[0, [0, 5, 9], [0, 5, 9], 0].tolist() == [0, int(kept > 1), int(kept > 0)]


# CropToKidneysd


def test_crop_to_kidneys_gives_each_its_part_of_the_mask_and_the_whole() -> None:
    case = kidneys_on(GRIDS["axial"], RIGHT, LEFT)
    items = CropToKidneysd("image", margin_mm=0, mask_key="mask")(case)
    assert len(items) == 2
    for item, kidney in zip(items, (RIGHT, LEFT), strict=True):
        assert item["kidney"] is case["kidney"]
        assert item["mask"].shape == item["image"].shape
        middle = centroid(item["mask"][0].numpy() > 0, Grid.of(item["mask"]))
        np.testing.assert_allclose(middle, kidney[0], atol=1)


# JoinKidneysd, SplitKidneysd


def box(value: float, start: float) -> dict[str, Any]:
    """A kidney of 3 x 2 x 4 voxels."""
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[0, 3] = start
    grid = Grid((3, 2, 4), affine)
    return {"image": volume(np.full(grid.shape, value, np.float32), grid), "name": value}


def test_join_puts_the_kidneys_one_after_the_other_along_the_slices() -> None:
    (joined,) = JoinKidneysd("image")([box(1, 0), box(2, 50)])
    assert joined["image"].shape == (1, 3, 2, 8)
    assert (joined["image"][..., :4] == 1).all()
    assert (joined["image"][..., 4:] == 2).all()
    assert joined["name"] == 1


def test_join_takes_a_single_kidney_twice() -> None:
    (joined,) = JoinKidneysd("image")([box(1, 0)])
    assert joined["image"].shape == (1, 3, 2, 8)
    assert (joined["image"] == 1).all()


def test_join_of_no_kidney_is_no_input() -> None:
    assert JoinKidneysd("image")([]) == []


def test_split_gives_each_kidney_its_own_grid_back() -> None:
    items = [box(1, 0), box(2, 50)]
    back = SplitKidneysd("image")(JoinKidneysd("image")(items))
    assert [set(item) for item in back] == [{"image", "name"}] * 2
    for item, original in zip(back, items, strict=True):
        assert torch.equal(item["image"], original["image"])
        np.testing.assert_array_equal(item["image"].affine, original["image"].affine)


# TumorInKidneyd


def test_tumor_is_the_intersection_and_kidney_the_rest() -> None:
    data = {"pred": mask_of((1, 1, 1), (2, 2, 2)), "kidney": mask_of((1, 1, 1), (3, 3, 3))}
    pred = TumorInKidneyd("pred")(data)["pred"]
    assert pred.dtype == torch.uint8
    assert pred[0, 1, 1, 1] == TUMOR
    assert pred[0, 2, 2, 2] == 0
    assert pred[0, 3, 3, 3] == KIDNEY
    assert pred.sum() == TUMOR + KIDNEY


# the way there and back


@grids
def test_tumors_come_back_to_where_they_are(grid: Grid) -> None:
    tumor = ((45.0, -15.0, 152.0), (9.0, 9.0, 11.0))  # in the right kidney
    case = kidneys_on(grid, RIGHT, LEFT)
    case["image"] = volume(ellipsoid(grid, *tumor).astype(np.float32), grid)
    there = Compose(
        [
            CropToKidneysd("image", margin_mm=0, mask_key="mask"),
            EachKidney([ToShaped("image", (24, 24, 24))]),
            JoinKidneysd("image"),
        ],
        map_items=False,
    )
    back = Compose(
        [
            SplitKidneysd("pred"),
            EachKidney([RestoreGridd("pred", threshold=0.5)]),
            MergeKidneysd("pred"),
            TumorInKidneyd("pred"),
        ],
        map_items=False,
    )
    (item,) = there(case)
    item["pred"] = item.pop("image")  # a network that finds it all
    pred = back([item])["pred"][0].numpy()
    expected = ellipsoid(grid, *tumor) & (case["kidney"][0].numpy() > 0)
    overlap = 2 * ((pred == TUMOR) & expected).sum() / ((pred == TUMOR).sum() + expected.sum())
    assert overlap > 0.85
    np.testing.assert_array_equal(pred > 0, case["kidney"][0].numpy() > 0)
