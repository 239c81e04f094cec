from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.geometry import axis_codes, spacing_of
from renalseg.grids import Grid, resample
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.transforms import (
    CropToKidneysd,
    DropFatd,
    DropSmallTumorsd,
    EachKidney,
    FillOutsided,
    KeepConfirmedTumorsd,
    KeepLargestComponentsd,
    MergeKidneysd,
    RestoreGridd,
    ToSpacingd,
)
from tests.factories.scenes import GRIDS, centroid, ellipsoid, make_grid, volume, world_of

grids = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
RIGHT = ((45.0, -11.0, 140.0), (16.0, 15.0, 26.0))  # center and radii of the right kidney, mm
LEFT = ((-30.0, -11.0, 130.0), (14.0, 13.0, 22.0))
CUBE = Grid((24, 20, 22), np.diag([1.0, 2.0, 3.0, 1.0]))  # voxels of 6 mm3


def make_case(grid: Grid, *kidneys: tuple[Any, Any]) -> dict[Any, Any]:
    """An image whose values are the world x, and a mask of the kidneys."""
    mask = np.zeros(grid.shape, bool)
    for center, radii in kidneys:
        mask |= ellipsoid(grid, center, radii)
    image = volume(world_of(grid)[..., 0].astype(np.float32), grid)
    return {"image": image, "kidney": volume(mask.astype(np.uint8), grid), "source": grid}


def blocks(*boxes: tuple[int, int, int], grid: Grid = CUBE, value: float = 1.0) -> MetaTensor:
    """Rods along Z, each given by its X, Y and length."""
    values = np.zeros(grid.shape, np.float32)
    for x, y, length in boxes:
        values[x, y, :length] = value
    return volume(values, grid)


# ToSpacingd


@grids
def test_to_spacing_gives_the_spacing_along_right_anterior_superior(grid: Grid) -> None:
    result = ToSpacingd("image", (3.0, 5.0, 7.0))(make_case(grid))["image"]
    np.testing.assert_allclose(spacing_of(result.affine), [3, 5, 7])
    assert axis_codes(result.affine) == ("R", "A", "S")


@grids
def test_to_spacing_keeps_values_where_they_are(grid: Grid) -> None:
    result = ToSpacingd("image", (3.0, 3.0, 3.0))(make_case(grid))["image"]
    inner = (slice(3, -3),) * 3
    expected = world_of(Grid.of(result))[..., 0]
    np.testing.assert_allclose(result[0].numpy()[inner], expected[inner], atol=1e-3)


def test_to_spacing_leaves_other_keys_alone() -> None:
    case = make_case(GRIDS["axial"], RIGHT)
    assert ToSpacingd("image", (3.0, 3.0, 3.0))(case)["kidney"] is case["kidney"]


def test_to_spacing_leaves_its_input_alone() -> None:
    case = make_case(GRIDS["axial"])
    before = case["image"]
    ToSpacingd("image", (3.0, 3.0, 3.0))(case)
    assert case["image"] is before


def test_to_spacing_of_a_mask_gives_no_values_between() -> None:
    case = make_case(GRIDS["oblique"], RIGHT)
    result = ToSpacingd("kidney", (3.0, 3.0, 3.0), mode="nearest")(case)["kidney"]
    assert result.dtype == torch.uint8
    assert set(result.unique().tolist()) == {0, 1}


# CropToKidneysd


def test_crop_of_no_kidney_is_no_item() -> None:
    assert CropToKidneysd("image")(make_case(GRIDS["axial"])) == []


def test_crop_of_one_kidney_is_one_item() -> None:
    assert len(CropToKidneysd("image")(make_case(GRIDS["axial"], LEFT))) == 1


@grids
def test_crop_of_two_kidneys_starts_with_the_larger(grid: Grid) -> None:
    items = CropToKidneysd("image", margin_mm=5)(make_case(grid, LEFT, RIGHT))
    assert [item["image"].mean() > 7 for item in items] == [True, False]  # the right is larger


@grids
def test_cropped_voxels_keep_their_world(grid: Grid) -> None:
    for item in CropToKidneysd("image")(make_case(grid, LEFT, RIGHT)):
        image = item["image"]
        np.testing.assert_allclose(image[0], world_of(Grid.of(image))[..., 0], atol=1e-3)


@grids
def test_crop_holds_the_kidney_and_its_margin(grid: Grid) -> None:
    (item,) = CropToKidneysd("image", margin_mm=9.0)(make_case(grid, LEFT))
    mask = ellipsoid(grid, *LEFT)
    kidney, box = (world_of(grid)[mask], world_of(Grid.of(item["image"])).reshape(-1, 3))
    step = np.abs(grid.affine[:3, :3]).sum(axis=1)  # a voxel, seen along the world axes
    assert (box.min(axis=0) <= kidney.min(axis=0) - 9 + step).all()
    assert (box.max(axis=0) >= kidney.max(axis=0) + 9 - step).all()


def test_margin_is_in_mm_along_every_axis() -> None:
    grid = Grid((60, 60, 60), np.diag([1.0, 2.0, 3.0, 1.0]))
    mask = np.zeros(grid.shape, np.uint8)
    mask[20:40, 20:40, 20:40] = 1
    case = {"image": volume(mask, grid), "kidney": volume(mask, grid)}
    (item,) = CropToKidneysd("image", margin_mm=6.0)(case)
    assert item["image"].shape == (1, 20 + 2 * 6, 20 + 2 * 3, 20 + 2 * 2)


def test_margin_stops_at_the_border() -> None:
    grid = make_grid("LPS")
    mask = np.zeros(grid.shape, np.uint8)
    mask[:10, -8:, 4:14] = 1
    case = make_case(grid) | {"kidney": volume(mask, grid)}
    (item,) = CropToKidneysd("image", margin_mm=500.0)(case)
    assert torch.equal(item["image"].as_tensor(), case["image"].as_tensor())


def test_crop_ignores_what_is_too_small_for_a_kidney() -> None:
    case = make_case(GRIDS["axial"], RIGHT, ((-30.0, -11.0, 130.0), (9.0, 9.0, 10.0)))
    assert len(CropToKidneysd("image", min_volume_mm3=5000.0)(case)) == 1


def test_crop_takes_no_more_kidneys_than_asked_for() -> None:
    case = make_case(GRIDS["axial"], LEFT, RIGHT)
    assert len(CropToKidneysd("image", max_kidneys=1)(case)) == 1


@grids
def test_both_kidneys_can_come_in_one_item(grid: Grid) -> None:
    case = make_case(grid, LEFT, RIGHT)
    crop = CropToKidneysd("image", margin_mm=5, mask_key="mask", together=True)
    (item,) = crop(case)
    assert item["mask"].sum() == case["kidney"].sum()
    both = ellipsoid(grid, *LEFT) | ellipsoid(grid, *RIGHT)
    np.testing.assert_allclose(
        centroid(np.asarray(item["mask"][0]) > 0, Grid.of(item["mask"])), centroid(both, grid)
    )
    assert crop(make_case(grid)) == []


def test_items_keep_the_source_and_lose_the_mask() -> None:
    (item,) = CropToKidneysd("image")(make_case(GRIDS["axial"], LEFT))
    assert item["source"] is GRIDS["axial"]
    assert "kidney" not in item


# KeepLargestComponentsd


def test_the_largest_components_stay() -> None:
    pred = blocks((2, 2, 9), (8, 8, 15), (15, 15, 12))
    result = KeepLargestComponentsd("pred", count=2)({"pred": pred})["pred"]
    assert torch.equal(result.as_tensor(), blocks((8, 8, 15), (15, 15, 12)).as_tensor())


def test_probabilities_around_a_kept_component_survive() -> None:
    pred = blocks((8, 8, 15), value=0.9)
    pred[0, 9, 8, :15] = 0.3
    result = KeepLargestComponentsd("pred", count=1)({"pred": pred})["pred"]
    assert torch.equal(result.as_tensor(), pred.as_tensor())


def test_kept_components_of_a_label_map_keep_their_labels() -> None:
    labels = np.zeros(CUBE.shape, np.uint8)
    labels[3:9, 3:9, 3:9] = KIDNEY
    labels[9:12, 3:9, 3:9] = TUMOR
    labels[20, 18, 20] = TUMOR
    result = KeepLargestComponentsd("pred", count=1)({"pred": volume(labels, CUBE)})["pred"]
    labels[20, 18, 20] = 0
    np.testing.assert_array_equal(result[0].numpy(), labels)
    assert result.dtype == torch.uint8


def test_components_are_those_above_the_threshold() -> None:
    pred = blocks((2, 2, 15), value=0.6) + blocks((8, 8, 9), value=0.9)
    kept = KeepLargestComponentsd("pred", count=1, threshold=0.7)({"pred": pred})["pred"]
    assert kept[0, 8, 8, 0] > 0


def test_nothing_above_the_threshold_changes_nothing() -> None:
    pred = blocks((2, 2, 15), value=0.4)
    assert KeepLargestComponentsd("pred")({"pred": pred})["pred"] is pred


def test_keep_largest_keeps_the_affine() -> None:
    result = KeepLargestComponentsd("pred")({"pred": blocks((2, 2, 15))})["pred"]
    np.testing.assert_array_equal(result.affine, CUBE.affine)


# RestoreGridd


def restore(probs: np.ndarray, grid: Grid, source: Grid, **options: Any) -> MetaTensor:
    item = {"pred": volume(probs.astype(np.float32), grid), "source": source}
    result: MetaTensor = RestoreGridd("pred", **options)(item)["pred"]
    return result


@grids
def test_restored_labels_lie_on_the_source_grid(grid: Grid) -> None:
    network = grid.respaced((5, 5, 5))
    result = restore(ellipsoid(network, *LEFT)[None], network, grid)
    assert result.shape == (1, *grid.shape)
    assert result.dtype == torch.uint8
    np.testing.assert_array_equal(result.affine, grid.affine)


@grids
def test_a_one_sided_marker_is_restored_to_its_place(grid: Grid) -> None:
    network = grid.respaced((3, 3, 4))
    result = restore(ellipsoid(network, *LEFT)[None], network, grid)[0].numpy() > 0
    expected = ellipsoid(grid, *LEFT)
    assert (result & expected).sum() > 0.85 * (result | expected).sum()
    np.testing.assert_allclose(centroid(result, grid), LEFT[0], atol=1.5)


@grids
def test_three_channels_are_restored_by_the_most_probable(grid: Grid) -> None:
    network = grid.respaced((3, 3, 4))
    kidney, tumor = ellipsoid(network, *RIGHT), ellipsoid(network, (45, -11, 120), (14, 14, 14))
    probs = np.stack([~(kidney | tumor), kidney & ~tumor, tumor])
    result = restore(probs, network, grid)[0].numpy()
    expected = np.where(ellipsoid(grid, *RIGHT), KIDNEY, 0)
    expected[ellipsoid(grid, (45, -11, 120), (14, 14, 14))] = TUMOR
    for label in (KIDNEY, TUMOR):
        found, true = result == label, expected == label
        assert (found & true).sum() > 0.8 * (found | true).sum()


@grids
def test_the_most_probable_is_that_of_all_channels(grid: Grid) -> None:
    network = grid.respaced((6, 6, 8))
    noise = torch.rand((3, *network.shape), generator=torch.Generator().manual_seed(1))
    probs = noise.mul(4).softmax(dim=0)
    result = restore(probs.numpy(), network, grid).as_tensor()[0]
    all_channels = resample(probs, network, grid)
    low, high = all_channels.sort(dim=0).values[1:]
    clear = high - low > 1e-5
    assert clear.float().mean() > 0.99
    assert torch.equal(result[clear], all_channels.argmax(dim=0).byte()[clear])


def test_restored_from_a_crop_lies_in_the_crop() -> None:
    source = GRIDS["axial"]
    box = (slice(3, 14), slice(6, 18), slice(5, 13))
    network = source.crop(box)
    result = restore(np.ones((1, *network.shape)), network, source)[0]
    expected = torch.zeros(source.shape, dtype=torch.uint8)
    expected[box] = 1
    assert torch.equal(result.as_tensor(), expected)


@grids
def test_the_box_that_is_computed_loses_nothing(grid: Grid) -> None:
    # the whole volume resampled at once is the reference
    network = grid.respaced((6, 6, 8))
    probs = ellipsoid(network, *RIGHT)[None].astype(np.float32)
    whole = resample(torch.from_numpy(probs), network, grid) > 0.5
    assert torch.equal(restore(probs, network, grid).as_tensor() > 0, whole)


def test_a_surface_between_voxels_is_found_by_interpolation() -> None:
    source, network = make_grid("RAS", (1, 6, 6)), make_grid("RAS", (4, 6, 6))
    x = world_of(network)[..., 0]
    probs = np.clip((x - 20.0) / 8 + 0.5, 0, 1)[None]  # 0.5 at x = 20 mm
    found = world_of(source)[restore(probs, network, source)[0].numpy() > 0][:, 0]
    assert found.min() == pytest.approx(20.0, abs=0.6)


def test_threshold_of_a_single_channel() -> None:
    grid = GRIDS["axial"]
    probs = np.full((1, *grid.shape), 0.4)
    assert not restore(probs, grid, grid, threshold=0.5).any()
    assert restore(probs, grid, grid, threshold=0.3).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_found_restores_to_background(channels: int) -> None:
    grid = GRIDS["axial"]
    probs = np.zeros((channels, *grid.shape))
    probs[0] = 0.0 if channels == 1 else 1.0
    assert not restore(probs, grid.respaced((4, 4.5, 6)), grid).any()


# EachKidney, MergeKidneysd


def test_each_kidney_applies_the_transforms_in_order() -> None:
    double_then_add = EachKidney([lambda item: item * 2, lambda item: item + 1])
    assert double_then_add([1, 5]) == [3, 11]  # type: ignore[list-item, comparison-overlap]


def test_merge_joins_the_kidneys() -> None:
    items = [{"pred": blocks((2, 2, 9))}, {"pred": blocks((8, 8, 5))}]
    result = MergeKidneysd("pred")(items)["pred"]
    assert torch.equal(result.as_tensor(), blocks((2, 2, 9), (8, 8, 5)).as_tensor())


def test_merge_prefers_tumor_where_items_overlap() -> None:
    items = [{"pred": blocks((2, 2, 9), value=KIDNEY)}, {"pred": blocks((2, 2, 4), value=TUMOR)}]
    result = MergeKidneysd("pred")(items)["pred"]
    assert result[0, 2, 2, :10].tolist() == [TUMOR] * 4 + [KIDNEY] * 5 + [0]


def test_merge_of_one_kidney_is_that_kidney() -> None:
    result = MergeKidneysd("pred")([{"pred": blocks((2, 2, 9)), "source": CUBE}])
    assert torch.equal(result["pred"].as_tensor(), blocks((2, 2, 9)).as_tensor())
    assert result["source"] is CUBE


def test_merge_keeps_the_affine() -> None:
    items = [{"pred": blocks((2, 2, 9))}, {"pred": blocks((8, 8, 5))}]
    np.testing.assert_array_equal(MergeKidneysd("pred")(items)["pred"].affine, CUBE.affine)


# DropFatd

FAT = -90.0


def without_fat(hu: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]) -> torch.Tensor:
    case = {"image": volume(hu, CUBE), "kidney": volume(mask, CUBE)}
    result = DropFatd("kidney", image_key="image", fat_hu=-40.0)(case)["kidney"]
    np.testing.assert_array_equal(result.affine, CUBE.affine)
    np.testing.assert_array_equal(case["kidney"][0], mask)
    return result.as_tensor()[0]


def test_fat_that_reaches_the_surface_leaves_the_mask() -> None:
    mask = np.zeros(CUBE.shape, np.uint8)
    mask[4:14, 4:14, 4:14] = 1
    hu = np.full(CUBE.shape, FAT, np.float32)
    hu[5:14, 4:14, 4:14] = 30
    hu[9, 9, 9:] = FAT  # a sinus, open to the outside
    expected = mask.copy()
    expected[4], expected[9, 9, 9:] = 0, 0
    np.testing.assert_array_equal(without_fat(hu, mask), expected)


def test_fat_within_the_kidney_and_all_but_fat_stay() -> None:
    mask = np.zeros(CUBE.shape, np.uint8)
    mask[4:14, 4:14, 4:14] = 1
    hu = np.full(CUBE.shape, -40, np.float32)
    hu[8:10, 8:10, 8:10] = FAT
    np.testing.assert_array_equal(without_fat(hu, mask), mask)


def test_an_empty_mask_has_no_fat() -> None:
    mask = np.zeros(CUBE.shape, np.uint8)
    assert not without_fat(np.full(CUBE.shape, FAT, np.float32), mask).any()


# KeepConfirmedTumorsd


def test_a_tumor_stays_where_the_other_network_sees_enough_of_it() -> None:
    pred = tumors((6, 6, 10), (12, 12, 10), (16, 4, 10))
    other = tumors((6, 6, 4), (12, 12, 3))
    case = {"pred": pred, "other": other}
    result = KeepConfirmedTumorsd("pred", other_key="other", min_share=0.4)(case)
    assert torch.equal(result["pred"].as_tensor(), tumors((6, 6, 10)).as_tensor())
    assert result["other"] is other
    assert torch.equal(pred.as_tensor(), tumors((6, 6, 10), (12, 12, 10), (16, 4, 10)).as_tensor())


def test_without_a_tumor_there_is_nothing_to_confirm() -> None:
    case = {"pred": tumors(), "other": tumors((6, 6, 9))}
    result = KeepConfirmedTumorsd("pred", other_key="other", min_share=0.4)(case)
    assert result["pred"] is case["pred"]


# FillOutsided


def test_what_is_near_the_mask_in_its_slice_stays_as_well() -> None:
    mask = volume(np.zeros((9, 9, 3), np.uint8), Grid((9, 9, 3), np.eye(4)))
    mask[0, 4, 4, 1] = 1
    case = {"image": torch.ones(1, 9, 9, 3), "mask": mask}
    filled = FillOutsided("image", mask_key="mask", value=-7.0, reach=2)(case)["image"]
    assert (filled[0, 2:7, 2:7, 1] == 1).all()
    assert (filled == -7).sum() == 9 * 9 * 3 - 25


# DropSmallTumorsd


def tumors(*rods: tuple[int, int, int]) -> MetaTensor:
    pred = np.zeros(CUBE.shape, np.uint8)
    pred[4:20, 4:16, :18] = KIDNEY
    return volume(np.where(blocks(*rods)[0] > 0, TUMOR, pred).astype(np.uint8), CUBE)


def test_a_small_tumor_becomes_kidney() -> None:
    pred = tumors((6, 6, 9), (12, 12, 11))  # 54 and 66 mm3
    result = DropSmallTumorsd("pred", min_volume_mm3=60.0)({"pred": pred})["pred"]
    assert torch.equal(result.as_tensor(), tumors((12, 12, 11)).as_tensor())


def test_a_small_cyst_becomes_kidney_and_a_tumor_beside_it_does_not_add_to_it() -> None:
    pred = tumors((6, 6, 11), (6, 7, 9))
    pred[0, 6, 7] = pred[0, 6, 7].where(pred[0, 6, 7] != TUMOR, CYST)
    result = DropSmallTumorsd("pred", min_volume_mm3=60.0)({"pred": pred})["pred"]
    assert torch.equal(result.as_tensor(), tumors((6, 6, 11)).as_tensor())


def test_a_tumor_of_just_the_least_volume_stays() -> None:
    pred = tumors((6, 6, 10))
    result = DropSmallTumorsd("pred", min_volume_mm3=60.0)({"pred": pred})["pred"]
    assert torch.equal(result.as_tensor(), pred.as_tensor())


def test_drop_leaves_its_input_alone() -> None:
    pred = tumors((6, 6, 9))
    before = pred.as_tensor().clone()
    DropSmallTumorsd("pred", min_volume_mm3=60.0)({"pred": pred})
    assert torch.equal(pred.as_tensor(), before)


def test_drop_without_a_tumor_changes_nothing() -> None:
    pred = tumors()
    assert DropSmallTumorsd("pred", min_volume_mm3=60.0)({"pred": pred})["pred"] is pred


def test_drop_keeps_affine_and_type() -> None:
    result = DropSmallTumorsd("pred", min_volume_mm3=60.0)({"pred": tumors((6, 6, 9))})["pred"]
    np.testing.assert_array_equal(result.affine, CUBE.affine)
    assert result.dtype == torch.uint8
