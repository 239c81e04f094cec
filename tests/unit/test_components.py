from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from renalseg.components import (
    around,
    bounding_box,
    components,
    grow_box,
    largest_part,
    may_be_corners,
    solid,
    voxels_of,
    within,
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


def test_box_of_labels_is_that_of_what_is_labeled() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[3, 5, 21], labels[7, 4, 2] = 2, 255
    assert bounding_box(labels) == bounding_box(labels > 0)


def test_box_around_boxes_holds_them_all() -> None:
    boxes = [(slice(3, 5), slice(4, 9), slice(0, 2)), (slice(4, 8), slice(5, 6), slice(7, 9))]
    assert around(boxes) == (slice(3, 8), slice(4, 9), slice(0, 9))


def test_a_part_of_a_box_lies_in_its_volume() -> None:
    volume = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    box, part = (slice(3, 20), slice(4, 9), slice(5, 12)), (slice(1, 4), slice(0, 5), slice(2, 3))
    np.testing.assert_array_equal(volume[within(part, box)], volume[box][part])


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


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.78, 0.78, 1.25), (0.4, 0.4, 5.0)])
def test_what_is_solid_is_all_that_balls_of_two_mm_reach(spacing: tuple[float, ...]) -> None:
    noise = np.random.default_rng(3).normal(size=(30, 30, 30))
    mask = ndimage.gaussian_filter(noise, 2.5) > -0.02
    deep = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing) > 2.0
    reached = ndimage.distance_transform_edt(~deep, sampling=spacing) <= 2.0
    numbered, sizes = components(reached[1:-1, 1:-1, 1:-1])
    large = (numbered > 0) & (numbered <= (sizes >= sizes[0] / 4).sum())
    assert 0 < large.sum() < mask.sum()
    np.testing.assert_array_equal(solid(mask, spacing), large)


def test_no_corner_lies_between_two_neighbors() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[4:9, 3:8, 2:6] = True
    corners = np.argwhere(may_be_corners(mask, range(3))).tolist()
    assert corners == [[x, y, z] for x in (4, 8) for y in (3, 7) for z in (2, 5)]
    assert may_be_corners(mask, (0, 1)).sum() == 4 * 4
