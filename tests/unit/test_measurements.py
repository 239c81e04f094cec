from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from renalseg.findings.measurements import measure
from renalseg.grids import Grid
from renalseg.labels import (
    CYST,
    KIDNEY,
    TUMOR,
    MeasuredSegment,
    Segment,
    Side,
    Third,
    size_category,
)
from tests.factories.scenes import GRIDS, ellipsoid, make_grid, volume

grids = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
CENTER = np.array([7.0, -11.0, 130.0])
FINE = {
    "axial": make_grid("LPS", (1.0, 1.2, 2.0), extent=(70, 60, 80)),
    "coronal": make_grid("LIP", (1.0, 2.0, 1.3), extent=(70, 60, 80)),
    "turned": make_grid("LPS", (1.1, 0.9, 1.7), turn=0.4, extent=(70, 60, 80)),
}
fine = pytest.mark.parametrize("grid", FINE.values(), ids=FINE)


def measure_map(
    grid: Grid,
    segmented: npt.NDArray[np.uint8],
    kinds: Sequence[int],
    hu: npt.NDArray[np.float32] | None = None,
) -> list[MeasuredSegment]:
    """Measures of segments that are all on the right side."""
    segments = [
        Segment(number, f"structure {number}", kind, Side.RIGHT, 1.0)
        for number, kind in enumerate(kinds, start=1)
    ]
    values = np.zeros(grid.shape, np.float32) if hu is None else hu
    return measure(volume(values, grid), segmented, segments)


def measure_one(grid: Grid, mask: npt.NDArray[np.bool_], kind: int = KIDNEY) -> MeasuredSegment:
    (measured,) = measure_map(grid, mask.astype(np.uint8), [kind])
    return measured


def with_tumor(
    grid: Grid, kidney: npt.NDArray[np.bool_], tumor: npt.NDArray[np.bool_]
) -> MeasuredSegment:
    """Measures of a tumor that takes its place in a kidney."""
    segmented = kidney.astype(np.uint8)
    segmented[tumor] = 2
    return measure_map(grid, segmented, [KIDNEY, TUMOR])[1]


def test_nothing_has_no_measures() -> None:
    grid = GRIDS["axial"]
    assert measure_map(grid, np.zeros(grid.shape, np.uint8), []) == []


@grids
@pytest.mark.parametrize("axis", range(3))
def test_a_row_of_voxels_is_as_long_as_from_its_first_center_to_its_last(
    grid: Grid, axis: int
) -> None:
    mask = np.zeros(grid.shape, bool)
    where: list[int | slice] = [5, 6, 7]
    where[axis] = slice(4, 13)
    mask[tuple(where)] = True
    assert measure_one(grid, mask).longest_mm == pytest.approx(8 * grid.spacing[axis], abs=0.01)


@grids
def test_a_box_is_measured_from_corner_to_corner(grid: Grid) -> None:
    mask = np.zeros(grid.shape, bool)
    mask[3:9, 4:12, 5:9] = True
    expected = np.linalg.norm(grid.spacing * [5, 7, 3])
    assert measure_one(grid, mask).longest_mm == pytest.approx(expected, abs=0.01)


@fine
@pytest.mark.parametrize("radius", [6.0, 13.0, 24.0])
def test_the_diameters_of_a_sphere(grid: Grid, radius: float) -> None:
    measured = measure_one(grid, ellipsoid(grid, CENTER, (radius,) * 3))
    for found in (measured.longest_mm, measured.longest_axial_mm):  # no voxel lies outside
        assert 2 * radius - 1.3 < found <= 2 * radius


@fine
def test_an_upright_ellipsoid_is_longer_than_it_is_wide_in_axial_slices(grid: Grid) -> None:
    measured = measure_one(grid, ellipsoid(grid, CENTER, (12, 16, 34)))
    assert 68 - 2 * grid.spacing.max() < measured.longest_mm <= 68
    assert 32 - 1.3 < measured.longest_axial_mm <= 32


def test_the_longest_diameter_may_be_oblique() -> None:
    grid = make_grid("LPS", (1.0, 1.0, 1.0), extent=(60, 60, 60))
    ends = [ellipsoid(grid, CENTER + shift, (3, 3, 3)) for shift in ((12, 9, 20), (-12, -9, -20))]
    expected = 2 * np.linalg.norm((12, 9, 20)) + 6
    assert measure_one(grid, ends[0] | ends[1]).longest_mm == pytest.approx(expected, abs=0.6)


@grids
def test_a_single_voxel_and_a_flat_segment_are_measured(grid: Grid) -> None:
    mask = np.zeros(grid.shape, bool)
    mask[2, 3, 4] = True
    assert measure_one(grid, mask).longest_mm == 0
    mask[2, 3:9, 4:8] = True
    expected = np.hypot(5 * grid.spacing[1], 3 * grid.spacing[2])
    assert measure_one(grid, mask).longest_mm == pytest.approx(expected, abs=0.01)


def test_a_tumor_has_no_place_in_a_flat_kidney() -> None:
    grid = GRIDS["axial"]
    kidney, tumor = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    kidney[4:12, 4:12, 5], tumor[6:8, 6:8, 5:7] = True, True
    measured = with_tumor(grid, kidney, tumor)
    assert (measured.third, measured.exophytic_percent) == (None, None)


def test_segments_at_the_border_of_the_volume_are_measured_whole() -> None:
    grid = make_grid("LPS", (1.0, 1.0, 1.0), extent=(9, 8, 12))
    assert measure_one(grid, np.ones(grid.shape, bool)).longest_axial_mm == pytest.approx(
        np.hypot(8, 7), abs=0.01
    )


def test_hounsfield_units_are_those_of_the_segment_alone() -> None:
    grid = GRIDS["axial"]
    segmented = np.zeros(grid.shape, np.uint8)
    segmented[2:4, 2:4, 2:4], segmented[6:8, 6, 6] = 1, 2
    hu = np.full(grid.shape, -1000, np.float32)
    hu[segmented == 1] = 30
    hu[6, 6, 6], hu[7, 6, 6] = 90, 100
    kidney, tumor = measure_map(grid, segmented, [KIDNEY, TUMOR], hu)
    assert (kidney.mean_hu, kidney.sd_hu) == (30, 0)
    assert (tumor.mean_hu, tumor.sd_hu) == (95, 5)


@grids
@pytest.mark.parametrize(
    ("height", "third"),
    [(34, Third.UPPER), (14, Third.UPPER), (0, Third.MIDDLE), (-14, Third.LOWER)],
)
def test_the_third_of_the_kidney_that_holds_a_tumor(grid: Grid, height: int, third: Third) -> None:
    kidney = ellipsoid(grid, CENTER, (17, 16, 32))
    tumor = ellipsoid(grid, CENTER + np.array([0, 0, height]), (8, 8, 8))
    assert with_tumor(grid, kidney, tumor).third is third


def test_thirds_follow_a_leaning_kidney() -> None:
    grid = make_grid("LPS", (2.0, 2.0, 2.0))
    world = np.moveaxis(np.indices(grid.shape), 0, -1) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    axis = np.array([0.8, 0.0, 0.6])  # its upper pole lies to the right
    along = (world - CENTER) @ axis
    across = np.linalg.norm(world - CENTER - along[..., None] * axis, axis=-1)
    kidney = (across < 12) & (abs(along) < 45)
    tumor = ellipsoid(grid, CENTER + 30 * axis, (8, 8, 8))  # 18 mm up: a third of a straight one
    assert with_tumor(grid, kidney, tumor).third is Third.UPPER
    assert with_tumor(grid, kidney, np.roll(tumor, 5, axis=0)).third is Third.UPPER


@grids
@pytest.mark.parametrize(("inside", "percent"), [(0, 100.0), (1, 75.0), (3, 25.0), (4, 0.0)])
def test_the_exophytic_share_is_what_lies_outside_of_the_kidney(
    grid: Grid, inside: int, percent: float
) -> None:
    kidney, tumor = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    kidney[2:12, 2:14, 3:15] = True
    tumor[12 - inside : 16 - inside, 6:9, 6:9] = True
    assert with_tumor(grid, kidney, tumor).exophytic_percent == percent


def test_a_half_sunk_sphere_is_half_exophytic() -> None:
    grid = make_grid("LPS", (1.0, 1.0, 1.0), extent=(90, 70, 80))
    kidney = np.zeros(grid.shape, bool)
    kidney[10:45, 10:60, 10:70] = True  # its face lies on the centers of the sphere's middle
    middle = grid.affine[:3, :3] @ [44.5, 35, 40] + grid.affine[:3, 3]
    found = with_tumor(grid, kidney, ellipsoid(grid, middle, (14, 14, 14)))
    assert found.exophytic_percent == pytest.approx(50, abs=0.5)


def test_the_hull_counts_the_sinus_as_kidney() -> None:
    grid = GRIDS["as_drawn"]
    kidney, tumor = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    kidney[4:16, 4:16, 2:18] = True
    kidney[10:16, 8:12, 6:14] = False
    tumor[11:14, 9:11, 8:12] = True
    assert with_tumor(grid, kidney, tumor).exophytic_percent == 0


def test_a_tumor_without_a_kidney_has_a_size_and_no_place() -> None:
    grid = GRIDS["axial"]
    measured = measure_one(grid, ellipsoid(grid, CENTER, (14, 14, 14)), TUMOR)
    assert (measured.third, measured.exophytic_percent) == (None, None)
    assert measured.size == "up to 4 cm"


def test_a_cyst_has_a_place_in_its_kidney_and_no_size() -> None:
    grid = GRIDS["axial"]
    segmented = ellipsoid(grid, CENTER, (14, 14, 40)).astype(np.uint8)
    segmented[ellipsoid(grid, CENTER + np.array([0, 0, 32]), (9, 9, 9))] = 2
    _, cyst = measure_map(grid, segmented, [KIDNEY, CYST])
    assert cyst.third == Third.UPPER
    assert cyst.exophytic_percent is not None
    assert cyst.size is None


def test_kidneys_have_no_place_and_no_size() -> None:
    grid = GRIDS["axial"]
    measured = measure_one(grid, ellipsoid(grid, CENTER, (14, 14, 14)))
    assert (measured.third, measured.exophytic_percent, measured.size) == (None, None, None)


@pytest.mark.parametrize(
    ("longest_mm", "name"),
    [
        (3.0, "up to 4 cm"),
        (40.0, "up to 4 cm"),
        (40.1, "4 to 7 cm"),
        (70.0, "4 to 7 cm"),
        (70.1, "7 to 10 cm"),
        (100.0, "7 to 10 cm"),
        (100.1, "over 10 cm"),
    ],
)
def test_sizes_are_named_by_their_cut_offs(longest_mm: float, name: str) -> None:
    assert size_category(longest_mm) == name
