from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from renalseg.dicom.planes import SourcePlanes

AIR = -1024.0


def planes(
    shape: tuple[int, int, int], corners: npt.ArrayLike, heights: npt.ArrayLike
) -> SourcePlanes:
    return SourcePlanes(shape, (2, 1), np.array(corners), np.array(heights, dtype=float))


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


def test_slices_between_are_interpolated_by_position() -> None:
    uneven = planes((2, 1, 5), np.zeros((3, 2), int), [0, 1.5, 4])
    grid = filled(uneven, [[0, 30], [3, 60], [13, 160]])
    np.testing.assert_allclose(
        grid[:, 0].T, [[0, 30], [2, 50], [5, 80], [9, 120], [13, 160]], atol=1e-3
    )


def test_slices_between_sheared_ones_fade_into_air() -> None:
    uneven = planes((3, 1, 3), [(0, 0), (1, 0)], [0, 2])
    grid = filled(uneven, [[0, 0], [0, 0]])
    np.testing.assert_allclose(grid[:, 0, 1], [AIR / 2, 0, AIR / 2], atol=1e-3)


def test_the_last_slice_reaches_beyond_its_place() -> None:
    uneven = planes((2, 1, 3), np.zeros((2, 2), int), [0, 1.6])
    grid = filled(uneven, [[0, 0], [16, 16]])
    np.testing.assert_allclose(grid[0, 0], [0, 10, 16], atol=1e-3)


def test_a_source_slice_gets_the_labels_of_the_nearest() -> None:
    uneven = planes((2, 1, 5), np.zeros((4, 2), int), [0, 1.4, 2.6, 4])
    labels = np.broadcast_to(np.arange(5, dtype=np.uint8), (2, 1, 5))
    assert uneven.to_slices(labels)[0, 0].tolist() == [0, 1, 3, 4]


def test_labels_on_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 1, 3\), got \(2, 1, 4\)"):
        SourcePlanes.regular((2, 1, 3)).to_slices(np.zeros((2, 1, 4), np.uint8))
