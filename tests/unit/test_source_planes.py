from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from renalseg.dicom.read.planes import SourcePlanes

AIR = -1024.0


def planes(
    shape: tuple[int, int, int], corners: npt.ArrayLike, levels: npt.ArrayLike
) -> SourcePlanes:
    return SourcePlanes(shape, (2, 1), np.array(corners), np.array(levels))


def filled(planes: SourcePlanes, values: list[list[float]]) -> npt.NDArray[np.float32]:
    """The grid (X, Y, Z) from source slices of one row, given by their pixels."""
    volume = np.full(planes.shape[::-1], np.nan, dtype=np.float32)

    def write(index: int, out: npt.NDArray[np.float32]) -> None:
        out[:] = values[index]

    planes.fill(volume, write, beyond=AIR)
    return volume.transpose(2, 1, 0)


def test_regular_slices_are_the_grid() -> None:
    regular = SourcePlanes.regular((2, 1, 3))
    assert regular.is_grid
    np.testing.assert_array_equal(
        filled(regular, [[1, 2], [3, 4], [5, 6]])[:, 0].T, [[1, 2], [3, 4], [5, 6]]
    )
    labels = np.zeros((2, 1, 3), np.uint8)
    assert regular.to_slices(labels) is labels


def test_sheared_slices_lie_at_their_corners_with_air_around() -> None:
    sheared = planes((3, 2, 2), [(0, 1), (1, 0)], [0, 1])
    assert not sheared.is_grid
    grid = filled(sheared, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(grid[:, :, 0].T, [[AIR, AIR, AIR], [1, 2, AIR]])
    np.testing.assert_array_equal(grid[:, :, 1].T, [[AIR, 3, 4], [AIR, AIR, AIR]])


def test_labels_go_back_through_the_shear() -> None:
    sheared = planes((3, 2, 2), [(0, 1), (1, 0)], [0, 1])
    labels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    np.testing.assert_array_equal(
        sheared.to_slices(labels)[:, 0].T,
        [[labels[0, 1, 0], labels[1, 1, 0]], [labels[1, 0, 1], labels[2, 0, 1]]],
    )


def test_slices_between_are_interpolated() -> None:
    uneven = planes((2, 1, 5), np.zeros((3, 2), int), [0, 1, 4])
    grid = filled(uneven, [[0, 30], [3, 60], [12, 120]])
    np.testing.assert_allclose(grid[:, 0].T, [[0, 30], [3, 60], [6, 80], [9, 100], [12, 120]])


def test_slices_between_sheared_ones_fade_into_air() -> None:
    uneven = planes((3, 1, 3), [(0, 0), (1, 0)], [0, 2])
    grid = filled(uneven, [[0, 0], [0, 0]])
    np.testing.assert_allclose(grid[:, 0, 1], [AIR / 2, 0, AIR / 2])


def test_labels_between_source_slices_belong_to_none() -> None:
    uneven = planes((2, 1, 5), np.zeros((3, 2), int), [0, 1, 4])
    labels = np.broadcast_to(np.arange(5, dtype=np.uint8), (2, 1, 5))
    assert uneven.to_slices(labels)[0, 0].tolist() == [0, 1, 4]


def test_slices_that_nearly_coincide_share_their_labels() -> None:
    near = planes((2, 1, 3), np.zeros((4, 2), int), [0, 1, 1, 2])
    assert filled(near, [[0, 0], [1, 1], [2, 2], [3, 3]])[0, 0].tolist() == [0, 2, 3]
    labels = np.broadcast_to(np.arange(3, dtype=np.uint8), (2, 1, 3))
    assert near.to_slices(labels)[0, 0].tolist() == [0, 1, 1, 2]


def test_as_many_slices_as_the_grid_has_need_not_be_the_grid() -> None:
    both = planes((2, 1, 4), np.zeros((4, 2), int), [0, 1, 1, 3])
    labels = np.broadcast_to(np.arange(4, dtype=np.uint8), (2, 1, 4))
    assert both.to_slices(labels)[0, 0].tolist() == [0, 1, 1, 3]


def test_labels_on_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 1, 3\), got \(2, 1, 4\)"):
        SourcePlanes.regular((2, 1, 3)).to_slices(np.zeros((2, 1, 4), np.uint8))


def test_labels_of_sheared_slices_come_back_to_them() -> None:
    sheared = planes((3, 2, 2), [(0, 1), (1, 0)], [0, 1])
    labels = np.array([[[1, 3]], [[2, 4]]], np.uint8)  # (columns, rows, S)
    grid = sheared.to_grid(labels)
    np.testing.assert_array_equal(grid[:, :, 0].T, [[0, 0, 0], [1, 2, 0]])
    np.testing.assert_array_equal(sheared.to_slices(grid), labels)


def test_between_slices_the_label_is_that_of_the_nearest() -> None:
    uneven = planes((2, 1, 5), np.zeros((3, 2), int), [0, 1, 4])
    labels = np.array([[[1, 2, 3]], [[4, 5, 6]]], np.uint8)
    np.testing.assert_array_equal(uneven.to_grid(labels)[0, 0], [1, 2, 2, 3, 3])


def test_labels_of_other_slices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected labels of shape \(2, 1, 3\), got \(2, 1, 2\)"):
        SourcePlanes.regular((2, 1, 3)).to_grid(np.zeros((2, 1, 2), np.uint8))
