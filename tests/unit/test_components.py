from __future__ import annotations

import numpy as np

from renalseg.components import (
    bounding_box,
    components,
    grow_box,
    largest_part,
    solid,
    voxels_of,
)

SHAPE = (24, 20, 22)


def test_box_of_an_empty_mask_is_none() -> None:
    assert bounding_box(np.zeros(SHAPE, bool)) is None


def test_box_holds_the_outermost_voxels() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[3, 5, 21] = mask[7, 4, 2] = True
    assert bounding_box(mask) == (slice(3, 8), slice(4, 6), slice(2, 22))


def test_box_of_a_full_mask_is_the_volume() -> None:
    assert bounding_box(np.ones(SHAPE, bool)) == (slice(0, 24), slice(0, 20), slice(0, 22))


def test_voxels_of_a_mask_are_those_of_the_whole_volume() -> None:
    mask = np.zeros(SHAPE, bool)
    assert voxels_of(mask).shape == (0, 3)
    mask[3, 5, 21] = mask[7, 4, 2] = mask[7, 4, 1] = True
    assert voxels_of(mask).tolist() == np.argwhere(mask).tolist()


def test_box_grows_by_whole_voxels() -> None:
    box = grow_box((slice(8, 10), slice(8, 10), slice(8, 10)), (1.1, 2.0, 0), SHAPE)
    assert box == (slice(6, 12), slice(6, 12), slice(8, 10))


def test_box_grows_no_further_than_the_volume() -> None:
    box = grow_box((slice(1, 23), slice(0, 20), slice(2, 20)), (5, 5, 5), SHAPE)
    assert box == (slice(0, 24), slice(0, 20), slice(0, 22))


def test_components_are_numbered_from_the_largest() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[0, 0, 0:3] = True
    mask[5, 5, 0:9] = True
    mask[9, 9, 0:5] = True
    numbered, sizes = components(mask)
    assert sizes.tolist() == [9, 5, 3]
    assert [numbered[5, 5, 0], numbered[9, 9, 0], numbered[0, 0, 0]] == [1, 2, 3]


def test_the_background_is_no_component() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[4, 4, 4] = True
    numbered, _ = components(mask)
    assert np.count_nonzero(numbered) == 1


def test_voxels_that_share_a_corner_are_connected() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[4, 4, 4] = mask[5, 5, 5] = True
    _, sizes = components(mask)
    assert sizes.tolist() == [2]


def test_an_empty_mask_has_no_components() -> None:
    numbered, sizes = components(np.zeros(SHAPE, bool))
    assert not numbered.any()
    assert len(sizes) == 0


def test_the_largest_part_shares_faces() -> None:
    mask = np.zeros((5, 5), dtype=bool)
    mask[0, :3] = True
    mask[1, 3] = mask[2, 4] = mask[3, 4] = True  # touch at corners alone, or are fewer
    assert np.argwhere(largest_part(mask)).tolist() == [[0, 0], [0, 1], [0, 2]]
    assert largest_part(np.zeros((2, 2), dtype=bool)) is None


def test_what_is_solid_has_no_shells_and_keeps_its_halves() -> None:
    upper, lower, shell = np.zeros((3, 40, 30, 30), bool)
    upper[1:15, 3:17, 3:17] = lower[20:34, 3:17, 3:17] = True
    shell[1:34, 17:27, 3:6] = True  # 3 mm
    found = solid(upper | lower | shell, (1.0, 1.0, 1.0))
    assert not found[:, 19:].any()
    for half in (upper, lower):
        assert (found & half).sum() > 0.8 * half.sum()


def test_a_remnant_of_a_shell_is_not_solid() -> None:
    mask, remnant = np.zeros((2, 40, 30, 30), bool)
    mask[1:20, 3:23, 3:23] = True
    remnant[28:36, 10:18, 10:18] = True
    assert not (solid(mask | remnant, (1.0, 1.0, 1.0)) & remnant).any()


def test_what_is_a_shell_alone_stays() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[2:20, 2:18, 5] = True
    np.testing.assert_array_equal(solid(mask, (1.0, 1.0, 1.0)), mask)


def test_a_thick_slice_is_no_shell() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[2:20, 2:18, 5] = True
    assert solid(mask, (1.0, 1.0, 5.0)).sum() > 0.9 * mask.sum()
