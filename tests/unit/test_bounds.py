"""Structures that reach the end of the scan, or of the field of view, have lower bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from monai.data import MetaTensor

from renalseg.components import bounding_box
from renalseg.findings.bounds import reaches_end
from renalseg.findings.measurements import measure
from renalseg.labels import CYST, KIDNEY, TUMOR, MeasuredSegment, Segment, Side

SHAPE = (40, 36, 20)
BODY_HU, AIR_HU = 40.0, -1000.0
Hu = npt.NDArray[np.float32]


def body() -> Hu:
    """A body with air around it in each slice."""
    hu = np.full(SHAPE, AIR_HU, np.float32)
    hu[4:-4, 4:-4] = BODY_HU
    return hu


def box_at(x: slice, y: slice, z: slice) -> npt.NDArray[np.bool_]:
    mask = np.zeros(SHAPE, bool)
    mask[x, y, z] = True
    return mask


INSIDE = (slice(14, 20), slice(14, 20), slice(6, 14))


def image_of(hu: Hu) -> MetaTensor:
    return MetaTensor(torch.from_numpy(hu)[None], affine=torch.eye(4, dtype=torch.float64))


def reaches(mask: npt.NDArray[np.bool_], hu: Hu | None = None) -> bool:
    box = bounding_box(mask)
    assert box is not None
    return reaches_end(image_of(body() if hu is None else hu), mask[box], box)


def test_a_structure_inside_is_whole() -> None:
    assert not reaches(box_at(*INSIDE))


@pytest.mark.parametrize(("part", "cut"), [((0, 8), True), ((12, 20), True), ((1, 19), False)])
def test_the_first_and_the_last_slice(part: tuple[int, int], cut: bool) -> None:
    assert reaches(box_at(*INSIDE[:2], slice(*part))) is cut


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("at_end", [False, True])
def test_the_edge_of_the_field_of_view(axis: int, at_end: bool) -> None:
    part = list(INSIDE)
    part[axis] = slice(SHAPE[axis] - 6, SHAPE[axis]) if at_end else slice(0, 6)
    assert reaches(box_at(*part), np.full(SHAPE, BODY_HU, np.float32))
    part[axis] = slice(SHAPE[axis] - 9, SHAPE[axis] - 3) if at_end else slice(3, 9)
    assert not reaches(box_at(*part), np.full(SHAPE, BODY_HU, np.float32))


@pytest.mark.parametrize("padding", [-1024.0, -1000.0])
def test_a_circular_field_of_view(padding: float) -> None:
    hu = np.full(SHAPE, BODY_HU, np.float32)
    x, y = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    hu[np.hypot(x - 19.5, y - 17.5) > 16] = padding
    for start, cut in ((14, False), (4, True)):
        mask = box_at(slice(start, start + 8), *INSIDE[1:])
        mask &= hu > -900
        assert reaches(mask, hu) is cut


def test_gas_in_a_bowel_is_no_end_of_the_scan() -> None:
    hu = body()
    hu[20:24, 14:20, 8:12] = AIR_HU
    assert not reaches(box_at(*INSIDE), hu)
    hu[20:, 14:20, 8:12] = AIR_HU
    assert reaches(box_at(*INSIDE), hu)


@pytest.mark.parametrize("end", [slice(0, 3), slice(17, 20)])
def test_empty_slices_at_an_end_are_none(end: slice) -> None:
    hu = body()
    hu[..., end] = -1024
    inside = slice(3, 12) if end.start == 0 else slice(8, 17)
    assert reaches(box_at(*INSIDE[:2], inside), hu)
    assert not reaches(box_at(*INSIDE[:2], slice(5, 15)), hu)


def measured(change: Callable[[npt.NDArray[np.uint8]], None]) -> list[MeasuredSegment]:
    """A left and a right kidney, with a tumor and a cyst in the left one."""
    numbers = np.zeros(SHAPE, np.uint8)
    numbers[10:16, 12:20, 4:15] = 1
    numbers[24:30, 12:20, 4:15] = 2
    numbers[12:15, 14:18, 10:13] = 3
    numbers[12:15, 14:18, 5:7] = 4
    change(numbers)
    kinds = (KIDNEY, KIDNEY, TUMOR, CYST)
    sides = (Side.LEFT, Side.RIGHT, Side.LEFT, Side.LEFT)
    segments = [
        Segment(number, f"structure {number}", kind, side, 1.0)
        for number, (kind, side) in enumerate(zip(kinds, sides, strict=True), start=1)
    ]
    return measure(image_of(body()), numbers, segments)


def test_a_whole_kidney_has_a_tumor_with_a_place_and_a_size() -> None:
    left, right, tumor, cyst = measured(lambda numbers: None)
    assert not any(each.lower_bound for each in (left, right, tumor, cyst))
    assert (tumor.third, tumor.size) == ("upper", "up to 4 cm")


def test_a_tumor_has_no_place_in_a_cut_kidney_and_keeps_its_size() -> None:
    left, right, tumor, _ = measured(lambda numbers: numbers.__setitem__(np.s_[10, 12, 15:], 1))
    assert (left.lower_bound, right.lower_bound, tumor.lower_bound) == (True, False, False)
    assert (tumor.third, tumor.exophytic_percent) == (None, None)
    assert tumor.size == "up to 4 cm"


def test_a_cut_tumor_has_no_size_up_to_something_and_its_kidney_may_go_on() -> None:
    left, right, tumor, _ = measured(lambda numbers: numbers.__setitem__(np.s_[12, 14, 13:], 3))
    assert (left.lower_bound, right.lower_bound, tumor.lower_bound) == (True, False, True)
    assert (tumor.third, tumor.size) == (None, None)


def test_a_cut_tumor_over_10_cm_is_over_10_cm() -> None:
    numbers = np.zeros((130, 20, 20), np.uint8)
    numbers[4:-4, 8:12, 12:] = 1
    image = image_of(np.full(numbers.shape, BODY_HU, np.float32))
    (tumor,) = measure(image, numbers, [Segment(1, "tumor", TUMOR, Side.LEFT, 1.0)])
    assert tumor.lower_bound
    assert tumor.size == "over 10 cm"
