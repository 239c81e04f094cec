from __future__ import annotations

import numpy as np
import pytest
import torch

from renalseg.geometry import axis_codes, spacing_of, to_world
from renalseg.grids import Grid, axis_maps, resample
from tests.factories.scenes import GRIDS, centroid, ellipsoid, make_grid, volume, world_of

MARKER = (-30.0, 9.0, 160.0)  # left, anterior and superior of the middle of the scenes
grids = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


def middle(grid: Grid) -> np.ndarray:
    return to_world(grid.affine, (np.array(grid.shape) - 1) / 2)


def ramp(grid: Grid) -> torch.Tensor:
    """A value that grows by another amount along each world axis, and so tells them apart."""
    return torch.from_numpy(world_of(grid) @ [1.0, 2.0, 5.0])[None].float()


def test_grid_of_a_volume_leaves_out_the_channels() -> None:
    grid = GRIDS["axial"]
    found = Grid.of(volume(np.zeros((2, *grid.shape), np.float32), grid))
    assert found.shape == grid.shape
    np.testing.assert_array_equal(found.affine, grid.affine)


@grids
def test_crop_keeps_the_world(grid: Grid) -> None:
    crop = grid.crop((slice(3, 9), slice(5, 10), slice(2, 12)))
    assert crop.shape == (6, 5, 10)
    np.testing.assert_allclose(to_world(crop.affine, (1, 2, 3)), to_world(grid.affine, (4, 7, 5)))


@grids
def test_respaced_axes_point_right_anterior_superior(grid: Grid) -> None:
    assert axis_codes(grid.respaced((3, 5, 7)).affine) == ("R", "A", "S")


@grids
def test_respaced_has_the_spacing_along_right_anterior_superior(grid: Grid) -> None:
    np.testing.assert_allclose(spacing_of(grid.respaced((3, 5, 7)).affine), [3, 5, 7])


@grids
def test_respaced_keeps_the_center_of_the_field_of_view(grid: Grid) -> None:
    np.testing.assert_allclose(middle(grid.respaced((3, 5, 7))), middle(grid), atol=1e-9)


@grids
def test_respaced_keeps_the_field_of_view(grid: Grid) -> None:
    assert grid.respaced((3, 5, 7)).shape == (48, 22, 17)  # 144, 108 and 120 mm


def test_respaced_has_a_voxel_at_least() -> None:
    assert GRIDS["axial"].respaced((500, 500, 500)).shape == (1, 1, 1)


def test_axis_maps_of_a_permuted_and_reversed_grid() -> None:
    maps = axis_maps(make_grid("LPS"), make_grid("IPR"))
    assert [m.axis for m in maps] == [2, 1, 0]
    np.testing.assert_allclose([m.step for m in maps], [-1, 1, -1])
    np.testing.assert_allclose([m.start for m in maps], [19, 0, 35], atol=1e-9)


@pytest.mark.parametrize("turn", [0.05, 0.8])
def test_grids_that_are_not_parallel_are_refused(turn: float) -> None:
    with pytest.raises(ValueError, match="parallel axes"):
        axis_maps(make_grid("LPS"), make_grid("LPS", turn=turn))


def test_two_axes_along_one_are_refused() -> None:
    source = make_grid("LPS")
    affine = source.affine.copy()
    affine[:, 1] = affine[:, 0]
    with pytest.raises(ValueError, match="parallel axes"):
        axis_maps(source, Grid(source.shape, affine))


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_resampling_to_the_same_grid_changes_nothing(mode: str) -> None:
    grid = GRIDS["oblique"]
    values = torch.rand((2, *grid.shape))
    assert torch.equal(resample(values, grid, grid, mode), values)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_reversed_axes_are_flipped(mode: str) -> None:
    values = torch.rand((1, *make_grid("LPS").shape))
    result = resample(values, make_grid("LPS"), make_grid("LAI"), mode)
    assert torch.equal(result, values.flip(2, 3))


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_permuted_axes_are_transposed(mode: str) -> None:
    values = torch.rand((1, *make_grid("LPS").shape))
    result = resample(values, make_grid("LPS"), make_grid("SLP"), mode)
    assert torch.equal(result, values.permute(0, 3, 1, 2))


@grids
def test_linear_interpolation_of_a_ramp_is_exact(grid: Grid) -> None:
    target = grid.respaced((3.0, 3.1, 3.2))
    inner = (slice(None), *(slice(3, -3),) * 3)  # beyond the outermost centers the border repeats
    result = resample(ramp(grid), grid, target)
    torch.testing.assert_close(result[inner], ramp(target)[inner], atol=1e-3, rtol=0)


@grids
def test_a_marker_keeps_its_place_to_a_network_and_back(grid: Grid) -> None:
    marker = ellipsoid(grid, MARKER, (14, 12, 13))
    target = grid.respaced((3.0, 3.0, 5.0))
    there = resample(torch.from_numpy(marker)[None].float(), grid, target)
    back = resample(there, target, grid)[0].numpy() > 0.5
    np.testing.assert_allclose(
        centroid(there[0].numpy() > 0.5, target), centroid(marker, grid), atol=1.0
    )
    assert (back & marker).sum() > 0.9 * (back | marker).sum()


def test_a_coarser_grid_averages_what_it_cannot_show() -> None:
    fine, coarse = make_grid("LPS", (1.5, 1.5, 1.5)), make_grid("LPS", (6, 6, 6))
    x, y, z = np.indices(fine.shape)
    checkerboard = torch.from_numpy(1.0 - 2.0 * ((x + y + z) % 2))[None].float()
    assert resample(checkerboard, fine, coarse).abs().max() < 0.02


def test_a_coarser_grid_keeps_the_mean() -> None:
    fine, coarse = make_grid("LPS", (1.5, 1.5, 1.5)), make_grid("LPS", (6, 6, 6))
    ball = torch.from_numpy(ellipsoid(fine, MARKER, (16, 15, 14)))[None].float()
    assert resample(ball, fine, coarse).mean().item() == pytest.approx(ball.mean().item(), rel=0.01)


def test_a_crop_reads_its_own_part() -> None:
    grid = GRIDS["coronal"]
    values = torch.rand((1, *grid.shape))
    box = (slice(4, 11), slice(2, 20), slice(7, 8))
    assert torch.equal(resample(values, grid, grid.crop(box)), values[(slice(None), *box)])


def test_the_border_repeats_beyond_the_volume() -> None:
    grid = make_grid("RAS")
    beyond = grid.crop((slice(-3, 2), slice(0, 3), slice(0, 3)))
    values = torch.rand((1, *grid.shape))
    result = resample(values, grid, beyond)
    assert torch.equal(result[:, :4], values[:, :1, :3, :3].expand(1, 4, 3, 3))
    assert torch.equal(result[:, 4], values[:, 1, :3, :3])


def test_nearest_keeps_the_type() -> None:
    grid = GRIDS["axial"]
    values = torch.randint(0, 3, (1, *grid.shape), dtype=torch.uint8)
    result = resample(values, grid, grid.respaced((3, 3, 3)), "nearest")
    assert result.dtype == torch.uint8
    assert set(result.unique().tolist()) == {0, 1, 2}


def test_linear_gives_float32() -> None:
    grid = GRIDS["axial"]
    values = torch.ones((1, *grid.shape), dtype=torch.int16)
    assert resample(values, grid, grid.respaced((3, 3, 3))).dtype == torch.float32


def test_the_order_in_memory_does_not_matter() -> None:
    grid = GRIDS["axial"]
    target = grid.respaced((3, 5, 7))
    values = torch.rand((1, *grid.shape))
    transposed = values.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1)
    torch.testing.assert_close(
        resample(transposed, grid, target), resample(values, grid, target), atol=1e-6, rtol=0
    )
