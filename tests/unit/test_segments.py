from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.findings.segments import split_segments
from renalseg.grids import Grid
from renalseg.labels import CYST, KIDNEY, TUMOR, Segment, Side
from tests.factories.limits import SIDES
from tests.factories.scenes import GRIDS, centroid, ellipsoid, make_grid, volume

grids = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
Ball = tuple[Sequence[float], Sequence[float]]

CENTER = np.array([7.0, -11.0, 130.0])  # middle of the grids; the patient's too, unless shifted
RIGHT: Ball = ((38.0, -5.0, 10.0), (15.0, 14.0, 24.0))  # relative to the patient's middle, mm
LEFT: Ball = ((-36.0, -5.0, 0.0), (15.0, 14.0, 22.0))
RIGHT_TUMOR: Ball = ((40.0, 6.0, 30.0), (10.0, 10.0, 10.0))
LEFT_TUMOR: Ball = ((-40.0, 6.0, -16.0), (13.0, 13.0, 13.0))


def scene(
    grid: Grid, kidneys: Sequence[Ball], tumors: Sequence[Ball] = (), shift: float = 0.0
) -> tuple[MetaTensor, MetaTensor]:
    """A prediction and the image of its patient, who lies `shift` mm to the right of the middle."""
    middle = CENTER + np.array([shift, 0, 0])
    pred = np.zeros(grid.shape, np.uint8)
    for label, balls in ((KIDNEY, kidneys), (TUMOR, tumors)):
        for center, radii in balls:
            pred[ellipsoid(grid, middle + np.asarray(center), radii)] = label
    hu = np.full(grid.shape, -1000, np.float32)
    hu[ellipsoid(grid, middle, (58, 45, 900))] = 40
    return volume(pred, grid), volume(hu, grid)


def split(
    grid: Grid, kidneys: Sequence[Ball], tumors: Sequence[Ball] = (), shift: float = 0.0
) -> tuple[np.ndarray, list[Segment]]:
    return split_segments(*scene(grid, kidneys, tumors, shift), sides=SIDES)


def labels(segments: Sequence[Segment]) -> list[str]:
    return [segment.label for segment in segments]


def test_cysts_follow_the_tumors_and_count_for_themselves() -> None:
    grid = GRIDS["axial"]
    pred, image = scene(grid, [LEFT, RIGHT], [RIGHT_TUMOR, LEFT_TUMOR])
    pred[0][pred[0] == TUMOR] = CYST
    pred[0][torch.from_numpy(ellipsoid(grid, CENTER + RIGHT_TUMOR[0], RIGHT_TUMOR[1]))] = TUMOR
    _, segments = split_segments(pred, image, sides=SIDES)
    assert labels(segments)[2:] == ["Right kidney tumor 1", "Left kidney cyst 1"]
    assert [segment.kind for segment in segments] == [KIDNEY, KIDNEY, TUMOR, CYST]


def test_nothing_found_is_no_segment() -> None:
    segmented, segments = split(GRIDS["axial"], [])
    assert segments == []
    assert not segmented.any()


@grids
def test_sides_are_those_of_the_patient(grid: Grid) -> None:
    segmented, segments = split(grid, [LEFT, RIGHT])
    assert labels(segments) == ["Left kidney", "Right kidney"]
    for segment, (center, _) in zip(segments, (LEFT, RIGHT), strict=True):
        found = centroid(segmented == segment.number, grid)
        np.testing.assert_allclose(found, CENTER + center, atol=1.5)


@grids
@pytest.mark.parametrize("side", Side)
def test_a_single_kidney_is_on_its_side(grid: Grid, side: Side) -> None:
    segmented, segments = split(grid, [LEFT if side is Side.LEFT else RIGHT])
    assert [(s.number, s.side) for s in segments] == [(1, side)]
    assert set(np.unique(segmented)) == {0, 1}


@grids
def test_kidneys_come_first_then_tumors_from_the_largest(grid: Grid) -> None:
    _, segments = split(grid, [RIGHT, LEFT], [RIGHT_TUMOR, LEFT_TUMOR])
    assert [(s.number, s.label, s.kind) for s in segments] == [
        (1, "Left kidney", KIDNEY),
        (2, "Right kidney", KIDNEY),
        (3, "Left kidney tumor 1", TUMOR),
        (4, "Right kidney tumor 1", TUMOR),
    ]


def test_tumors_are_counted_for_each_side() -> None:
    second = ((-36.0, -5.0, 28.0), (8.0, 8.0, 8.0))
    _, segments = split(GRIDS["axial"], [LEFT, RIGHT], [LEFT_TUMOR, RIGHT_TUMOR, second])
    assert labels(segments)[2:] == [
        "Left kidney tumor 1",
        "Right kidney tumor 1",
        "Left kidney tumor 2",
    ]


def test_the_map_holds_every_voxel_of_the_prediction() -> None:
    pred, image = scene(GRIDS["oblique"], [LEFT, RIGHT], [LEFT_TUMOR, RIGHT_TUMOR])
    segmented, segments = split_segments(pred, image, sides=SIDES)
    kinds = np.array([0, *(segment.kind for segment in segments)])
    np.testing.assert_array_equal(kinds[segmented], pred[0].numpy())
    assert segmented.dtype == np.uint8


def test_volumes_are_in_milliliters() -> None:
    segmented, segments = split(GRIDS["axial"], [LEFT, RIGHT], [LEFT_TUMOR])
    for segment in segments:
        voxels = (segmented == segment.number).sum()
        assert segment.volume_ml == pytest.approx(voxels * 4.0 * 4.5 * 6.0 / 1000)


@grids
def test_a_horseshoe_kidney_is_divided_at_the_midline(grid: Grid) -> None:
    bridge = ((0.0, -2.0, -5.0), (40.0, 9.0, 9.0))
    segmented, segments = split(grid, [LEFT, RIGHT, bridge])
    assert labels(segments) == ["Left kidney", "Right kidney"]
    x = [centroid(segmented == s.number, grid)[0] - CENTER[0] for s in segments]
    assert x[0] < -20 < 20 < x[1]


@grids
def test_a_tumor_over_the_midline_stays_with_its_kidney(grid: Grid) -> None:
    tumor = ((-12.0, 4.0, 0.0), (26.0, 20.0, 18.0))
    _, segments = split(grid, [LEFT, RIGHT], [tumor])
    assert labels(segments) == ["Left kidney", "Right kidney", "Left kidney tumor 1"]


def test_a_tumor_mostly_beyond_the_midline_stays_with_its_kidney() -> None:
    tumor = ((12.0, 14.0, 0.0), (44.0, 22.0, 26.0))
    _, segments = split(GRIDS["axial"], [LEFT], [tumor])
    assert labels(segments) == ["Left kidney", "Left kidney tumor 1"]


def test_a_tumor_apart_from_the_kidneys_is_on_its_own_side() -> None:
    apart = ((-30.0, -5.0, 45.0), (9.0, 9.0, 9.0))
    _, segments = split(GRIDS["axial"], [RIGHT], [apart])
    assert labels(segments) == ["Right kidney", "Left kidney tumor 1"]


@pytest.mark.parametrize("shift", [-60.0, 60.0])
@pytest.mark.parametrize("codes", ["RAS", "LPS", "LPI", "LIP", "PIR", "PRS"])
def test_the_midline_is_that_of_an_off_center_patient(codes: str, shift: float) -> None:
    grid = make_grid(codes, extent=(280, 108, 120))  # both kidneys in one half of it
    segmented, segments = split(grid, [LEFT, RIGHT], shift=shift)
    assert labels(segments) == ["Left kidney", "Right kidney"]
    left, right = (centroid(segmented == s.number, grid)[0] for s in segments)
    assert left < right


def test_without_a_body_the_middle_of_the_field_of_view_counts() -> None:
    pred, _ = scene(GRIDS["axial"], [LEFT, RIGHT])
    air = volume(np.full(pred.shape[1:], -1000, np.float32), GRIDS["axial"])
    assert labels(split_segments(pred, air, sides=SIDES)[1]) == ["Left kidney", "Right kidney"]


def test_more_specks_than_segment_numbers_are_left_out() -> None:
    grid = make_grid("LPS", (4, 4, 4))
    pred = np.zeros(grid.shape, np.uint8)
    pred[::2, ::2, ::2] = TUMOR
    image = volume(np.full(grid.shape, 40, np.float32), grid)
    segmented, segments = split_segments(volume(pred, grid), image, sides=SIDES)
    assert len(segments) == 255
    assert segmented.max() == 255
