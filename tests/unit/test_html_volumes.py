from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from renalseg.geometry import to_index, to_world
from renalseg.grids import Grid
from renalseg.report.html.volumes import MARGIN_MM, pack_volumes
from tests.factories.scenes import GRIDS, centroid, ellipsoid, make_grid, volume

PLACE = (-20.0, -16.0, 140.0)
RADII = (9.0, 8.0, 11.0)


def unpack(data: bytes) -> tuple[npt.NDArray[np.generic], Grid]:
    image = nib.Nifti1Image.from_bytes(gzip.decompress(data))
    values = np.asarray(image.dataobj)
    return values, Grid(values.shape, image.affine)


def scene(grid: Grid) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """HU that name their voxel, and one segment, number 3, away from the middle."""
    x, y, z = np.indices(grid.shape)
    hu = (x + 40 * y + 3 * z).astype(np.float32)
    return hu, np.where(ellipsoid(grid, PLACE, RADII), 3, 0).astype(np.uint8)


@pytest.mark.parametrize("name", GRIDS)
def test_the_crop_has_every_voxel_where_it_was(name: str) -> None:
    grid = GRIDS[name]
    hu, segmented = scene(grid)
    packed = pack_volumes(volume(hu, grid), segmented)
    values, local = unpack(packed.ct)
    index = np.rint(to_index(grid.affine, to_world(local.affine, np.argwhere(values > -9999))))
    x, y, z = index.astype(int).T
    np.testing.assert_array_equal(values.ravel(), hu[x, y, z])
    assert not packed.coarser


def test_the_crop_ends_a_margin_beyond_what_was_found() -> None:
    grid = make_grid("LPS", spacing=(2, 2, 2))
    hu, segmented = scene(grid)
    labels, local = unpack(pack_volumes(volume(hu, grid), segmented).labels)
    found = np.argwhere(labels == 3)
    np.testing.assert_allclose(centroid(labels == 3, local), PLACE, atol=1)
    assert len(found) == (segmented == 3).sum()
    assert found[:, 0].min() == MARGIN_MM / 2  # two mm a voxel


def test_a_ct_that_is_too_large_is_averaged_and_stays_in_place() -> None:
    grid = make_grid("RAS", spacing=(2, 2, 5))
    marker = ellipsoid(grid, PLACE, (8, 8, 8))
    noise = np.random.default_rng(0).normal(0, 300, grid.shape).astype(np.float32)
    hu = np.where(marker, 3000, noise).astype(np.float32)
    packed = pack_volumes(volume(hu, grid), marker.astype(np.uint8), most_bytes=15_000)
    values, local = unpack(packed.ct)
    assert packed.coarser
    assert len(packed.ct) <= 15_000
    np.testing.assert_allclose(packed.spacing, [4, 4, 5])  # the finest axes first
    np.testing.assert_allclose(centroid(values > 1800, local), PLACE, atol=1.5)
    labels, fine = unpack(packed.labels)
    np.testing.assert_allclose(fine.affine[:3, :3], grid.affine[:3, :3])
    assert labels.sum() == marker.sum()


def test_all_is_kept_where_nothing_was_found() -> None:
    grid = make_grid("LPS")
    hu, segmented = scene(grid)
    packed = pack_volumes(volume(hu, grid), np.zeros_like(segmented))
    np.testing.assert_array_equal(unpack(packed.ct)[0], hu)


def test_hu_beyond_what_scanners_give_are_cut_off() -> None:
    grid = make_grid("LPS")
    hu, segmented = scene(grid)
    hu[0, 0, 0], hu[1, 0, 0] = -90_000, 90_000
    values, _ = unpack(pack_volumes(volume(hu, grid), np.zeros_like(segmented)).ct)
    assert (values[0, 0, 0], values[1, 0, 0]) == (-1024, 3071)
