"""Nephrometry of drawn kidneys: tumors of known size and place in kidneys with a known sinus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from renalseg.findings.measurements import measure
from renalseg.findings.nephrometry import (
    CUT,
    GAP,
    NO_AXIS,
    NO_KIDNEY,
    NO_SINUS,
    Anatomy,
    add_nephrometry,
    anatomy,
)
from renalseg.findings.nephrometry.sinus import grown
from renalseg.grids import Grid
from renalseg.labels import CYST, KIDNEY, TUMOR, MeasuredSegment, Segment, Side
from renalseg.report.lesions import nephrometry_table
from renalseg.scores import Nephrometry
from tests.factories.scenes import ellipsoid, make_grid, volume, world_of

CENTER = (-40.0, -10.0, 130.0)
RADII = (26.0, 22.0, 54.0)
SINUS_MM = 20.0  # its upper and lower end, from the middle
DEPTH_MM = 6.0  # of its floor, medial of the middle
EXTENT = (80.0, 60.0, 122.0)
GRID = make_grid("LPS", (1.0, 1.0, 1.0), center=CENTER, extent=EXTENT)


def kidney(
    grid: Grid, side: Side = Side.LEFT, *, sinus: bool = True, turn: float = 0.0
) -> npt.NDArray[np.bool_]:
    """An ellipsoid, with a notch on the medial side that is 16 mm wide in front and behind."""
    place = own_axes(grid, side, turn)
    tissue = ((place / RADII) ** 2).sum(axis=-1) < 1
    if sinus:
        x, y, z = np.moveaxis(place, -1, 0)
        tissue &= ~((x > DEPTH_MM) & (abs(y) < 8) & (abs(z) < SINUS_MM))
    return np.asarray(tissue)


def own_axes(grid: Grid, side: Side, turn: float) -> npt.NDArray[np.float64]:
    """Places (X, Y, Z, 3) in mm: toward the midline, to the front, upward along the kidney.

    `turn` leans the upper pole toward the midline, in radians.
    """
    place = world_of(grid) - CENTER
    place = place * [1 if side == Side.LEFT else -1, 1, 1]
    cos, sin = np.cos(turn), np.sin(turn)
    turned = place @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]).T
    return np.asarray(turned)


def ball(
    grid: Grid, at: Sequence[float], radius: float, side: Side = Side.LEFT, turn: float = 0.0
) -> npt.NDArray[np.bool_]:
    """A ball at a place in the kidney's axes."""
    return np.asarray(np.linalg.norm(own_axes(grid, side, turn) - at, axis=-1) <= radius)


def assess(
    grid: Grid,
    tissue: npt.NDArray[np.bool_],
    lesion: npt.NDArray[np.bool_],
    side: Side = Side.LEFT,
    kind: int = TUMOR,
    gaps: Sequence[tuple[int, int]] = (),
) -> MeasuredSegment:
    """The lesion with its nephrometry."""
    segmented = tissue.astype(np.uint8)
    segmented[lesion] = 2
    segments = [
        Segment(1, "a kidney", KIDNEY, side, 1.0),
        Segment(2, "a lesion", kind, side, 1.0),
    ]
    if not tissue.any():
        segmented[lesion], segments = 1, [Segment(1, "a lesion", kind, side, 1.0)]
    measured = measure(volume(np.zeros(grid.shape, np.float32), grid), segmented, segments)
    return add_nephrometry(segmented, grid.affine, measured, gaps)[-1]


def scores(*arguments: object, **options: object) -> Nephrometry:
    found = assess(*arguments, **options).nephrometry  # type: ignore[arg-type]
    assert found is not None
    return found


def value(found: Nephrometry, name: str) -> float:
    return found.components[name].value


def points(found: Nephrometry, scheme: str) -> dict[str, int]:
    """The points of a scheme by the names of the measures."""
    given = {name: getattr(each, scheme) for name, each in found.components.items()}
    return {name: count for name, count in given.items() if count is not None}


@pytest.mark.parametrize("radius", [3, 5])
@pytest.mark.parametrize("share", [0.0, 0.002, 0.3])
def test_what_is_grown_is_dilated_by_a_ball(radius: int, share: float) -> None:
    mask = np.random.default_rng(radius).random((20, 17, 24)) < share
    ball = (np.square(np.indices((2 * radius + 1,) * 3) - radius)).sum(axis=0) <= radius**2
    np.testing.assert_array_equal(grown(mask, radius), ndimage.binary_dilation(mask, ball))


def test_polar_lines_are_the_ends_of_the_sinus() -> None:
    tissue = kidney(GRID)
    measured = measure(
        volume(np.zeros(GRID.shape, np.float32), GRID),
        tissue.astype(np.uint8),
        [Segment(1, "a kidney", KIDNEY, Side.LEFT, 1.0)],
    )
    found = anatomy(tissue.astype(np.uint8), GRID.affine, measured, Side.LEFT)
    assert isinstance(found, Anatomy)
    low, high = found.sinus.lines
    assert high - low == pytest.approx(2 * SINUS_MM, abs=1.5)
    middle = found.frame.place(CENTER)
    assert (low + high) / 2 == pytest.approx(middle[2], abs=1)
    np.testing.assert_allclose(found.sinus.toward, [1, 0], atol=0.05)
    np.testing.assert_allclose(found.sinus.center, middle, atol=2)


def test_a_lateral_exophytic_tumor_of_the_lower_pole() -> None:
    found = scores(GRID, kidney(GRID), ball(GRID, (-18, 0, -42), 11))
    assert value(found, "size") == pytest.approx(22, abs=1)
    assert value(found, "exophytic") > 50
    # from the ball to the lower edge of the notch's floor
    gap = np.linalg.norm(np.array([-18, 0, -42]) - [DEPTH_MM, 0, -SINUS_MM]) - 11
    assert value(found, "sinus") == pytest.approx(gap, abs=1.5)
    assert value(found, "between") == 0
    assert value(found, "polar") == pytest.approx(-(42 - 11 - SINUS_MM), abs=1.5)
    assert value(found, "rim") == pytest.approx(-18, abs=2)
    assert value(found, "center") == pytest.approx(np.hypot(18, 42), abs=2)
    assert points(found, "renal") == {"size": 1, "exophytic": 1, "sinus": 1, "between": 1}
    assert points(found, "padua") == {
        **{"size": 1, "exophytic": 1, "sinus": 1, "collecting": 1, "between": 1, "rim": 1}
    }
    assert (found.renal, found.padua, found.reason) == ("4x", "6x", None)
    assert found.c_index == pytest.approx(np.hypot(18, 42) / 11, abs=0.3)


def test_an_endophytic_tumor_in_front_between_the_lines() -> None:
    found = scores(GRID, kidney(GRID), ball(GRID, (-5, 9, 5), 6))
    assert value(found, "exophytic") == 0
    assert value(found, "face") == pytest.approx(9, abs=1)
    assert (found.renal, found.padua) == ("9a", "9a")
    assert points(found, "renal") == {"size": 1, "exophytic": 3, "sinus": 2, "between": 3}


def test_a_tumor_that_crosses_a_line_by_less_than_half() -> None:
    found = scores(GRID, kidney(GRID), ball(GRID, (-10, -8, 25), 8))
    assert value(found, "polar") == pytest.approx(SINUS_MM - (25 - 8), abs=1)
    assert 0 < value(found, "between") < 50
    assert points(found, "renal")["between"] == 2
    assert points(found, "padua")["between"] == 1
    assert found.renal is not None
    assert found.renal.endswith("p")


def test_a_tumor_at_the_opening_of_the_sinus_is_hilar() -> None:
    found = scores(GRID, kidney(GRID), ball(GRID, (18, 12, 0), 8))
    assert value(found, "sinus") <= 1.5
    assert found.renal is not None
    assert found.renal.endswith("ah")
    assert points(found, "padua")["rim"] == points(found, "padua")["sinus"] == 2


def test_a_tumor_that_bulges_out_under_a_shell_of_kidney_is_exophytic() -> None:
    """Labels of KiTS have such shells; their convex hull encloses the whole tumor."""
    grid = make_grid("LPS", (1.0, 1.0, 1.0), center=CENTER, extent=(130, 100, 122))
    tumor, covered = (ball(grid, (-36, 0, 0), radius) for radius in (24, 25.5))
    bare = scores(grid, kidney(grid), tumor)
    found = scores(grid, kidney(grid) | covered, tumor)
    assert value(bare, "exophytic") > 50
    assert value(found, "exophytic") == pytest.approx(value(bare, "exophytic"), abs=3)
    assert points(found, "renal") == points(bare, "renal")
    assert value(found, "polar") == pytest.approx(value(bare, "polar"), abs=1.5)


@pytest.mark.parametrize(("radius", "renal", "padua"), [(19.9, 1, 1), (24, 2, 2), (36, 3, 3)])
def test_points_of_the_size(radius: float, renal: int, padua: int) -> None:
    grid = make_grid("LPS", (2.0, 2.0, 2.0), center=CENTER, extent=(170, 100, 130))
    size = scores(grid, kidney(grid), ball(grid, (-40, 0, -20), radius)).components["size"]
    assert (size.renal, size.padua) == (renal, padua)


@pytest.mark.parametrize(
    ("codes", "side", "turn"),
    [
        *(("RAI", Side.LEFT, 0.0), ("LPS", Side.RIGHT, 0.0), ("PIR", Side.RIGHT, 0.3)),
        ("LPS", Side.LEFT, -0.3),
    ],
)
def test_mirrored_and_turned_patients_have_the_same_scores(
    codes: str, side: Side, turn: float
) -> None:
    at, radius = (-12, -9, -33), 10
    upright = scores(GRID, kidney(GRID), ball(GRID, at, radius))
    grid = make_grid(codes, (1.0, 1.0, 1.0), center=CENTER, extent=(110, 60, 126))
    found = scores(grid, kidney(grid, side, turn=turn), ball(grid, at, radius, side, turn), side)
    assert (found.renal, found.padua) == (upright.renal, upright.padua)
    assert found.c_index == pytest.approx(upright.c_index, abs=0.15)
    for name in upright.components:
        assert value(found, name) == pytest.approx(value(upright, name), abs=2.5)


def test_thick_slices_give_the_same_scores() -> None:
    grid = make_grid("LPS", (0.8, 0.8, 5.0), center=CENTER, extent=EXTENT)
    at, radius = (-16, 10, -26), 12
    fine = scores(GRID, kidney(GRID), ball(GRID, at, radius))
    coarse = scores(grid, kidney(grid), ball(grid, at, radius))
    assert coarse.renal == fine.renal
    assert value(coarse, "sinus") == pytest.approx(value(fine, "sinus"), abs=2.5)


def test_tiny_lesions_and_single_slices_are_assessed() -> None:
    tissue = kidney(GRID)
    voxel, plane = np.zeros(GRID.shape, bool), np.zeros(GRID.shape, bool)
    voxel[tuple(np.array(GRID.shape) // 2)] = True
    plane[..., GRID.shape[2] // 2] = ball(GRID, (-8, 0, 0), 7)[..., GRID.shape[2] // 2]
    alone = scores(GRID, tissue, voxel)
    assert alone.renal is not None
    assert (alone.c_index, alone.reason) == (None, "The tumor is a single voxel")
    assert scores(GRID, tissue, plane).renal is not None


def test_a_kidney_in_a_single_slice_is_not_assessed() -> None:
    tissue, lesion = np.zeros(GRID.shape, bool), np.zeros(GRID.shape, bool)
    level = GRID.shape[2] // 2
    tissue[..., level] = kidney(GRID)[..., level]
    lesion[..., level] = ball(GRID, (-20, 0, 0), 5)[..., level]
    found = scores(GRID, tissue, lesion)
    assert (found.renal, found.reason) == (None, NO_AXIS)


def test_without_a_sinus_only_size_and_share_have_points() -> None:
    lesion = assess(GRID, kidney(GRID, sinus=False), ball(GRID, (-24, 0, 0), 10))
    assert lesion.nephrometry is not None
    assert lesion.nephrometry.renal is lesion.nephrometry.padua is None
    assert list(lesion.nephrometry.components) == ["size", "exophytic"]
    assert lesion.nephrometry.reason == NO_SINUS
    assert nephrometry_table(lesion.nephrometry).note == "Not assessed: No renal sinus was found."


def test_what_is_cut_or_lies_in_a_gap_is_not_assessed() -> None:
    grid = make_grid("LPS", (1.0, 1.0, 1.0), center=CENTER, extent=(80, 60, 100))
    lesion = ball(grid, (-20, 0, 0), 10)
    assert scores(grid, kidney(grid), lesion).reason == CUT
    assert scores(grid, kidney(grid) & False, lesion).reason == NO_KIDNEY
    levels = np.flatnonzero(ball(GRID, (-20, 0, 0), 10).any(axis=(0, 1)))
    arguments = (GRID, kidney(GRID), ball(GRID, (-20, 0, 0), 10))
    touching, apart = (int(levels[-1]) + shift for shift in (0, 1))
    assert scores(*arguments, gaps=[(touching, touching + 3)]).reason == GAP
    assert scores(*arguments, gaps=[(apart, apart + 3)]).reason is None


def test_a_round_kidney_has_no_long_axis() -> None:
    found = scores(GRID, ellipsoid(GRID, CENTER, (24, 24, 24)), ball(GRID, (-20, 0, 0), 8))
    assert found.reason == NO_AXIS


def test_cysts_have_no_nephrometry_and_are_no_sinus() -> None:
    tissue = kidney(GRID)
    assert assess(GRID, tissue, ball(GRID, (-24, 0, 0), 10), kind=CYST).nephrometry is None
    segmented = tissue.astype(np.uint8)
    segmented[ball(GRID, (-12, 0, -32), 8)] = 2
    segmented[ball(GRID, (0, 0, 38), 8)] = 3
    kinds = (KIDNEY, TUMOR, CYST)
    segments = [Segment(n, str(n), kind, Side.LEFT, 1.0) for n, kind in enumerate(kinds, 1)]
    image = volume(np.zeros(GRID.shape, np.float32), GRID)
    measured = add_nephrometry(segmented, GRID.affine, measure(image, segmented, segments))
    alone = scores(GRID, tissue, ball(GRID, (-12, 0, -32), 8))
    assert measured[1].nephrometry is not None
    assert measured[1].nephrometry.renal == alone.renal


def test_the_table_has_each_measure_with_its_points() -> None:
    lesion = assess(GRID, kidney(GRID), ball(GRID, (-18, 0, -42), 11))
    assert lesion.nephrometry is not None
    rows = [row.cells for row in nephrometry_table(lesion.nephrometry).rows]
    assert rows[0] == ("R Longest", "22 mm", "1", "1")
    assert [name for name, *_ in rows[1:3]] == ["E Exophytic", "N To sinus"]
    assert ("L Between polar lines", "0 %", "1", "1") in rows
    assert rows[-1] == ("Score", "C-index 4.1", "4x", "6x")
