"""Two drawn times of a patient: each kidney breathed, a tumor grew, one is new, one is gone."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from renalseg.findings.findings import describe
from renalseg.findings.followup.change import OUTLINE, REPEATS, YEAR, Errors, outline_error
from renalseg.findings.followup.compare import Found, compare
from renalseg.findings.followup.comparison import EARLIER, Comparison, Lesion
from renalseg.findings.followup.match import Move, TimePoint, match
from renalseg.findings.followup.sentences import compared, time_text
from renalseg.findings.registration import Alignment, carry
from renalseg.findings.sentences import Judgment
from renalseg.geometry import spacing_of
from renalseg.inference.methods import default_numbers
from renalseg.labels import CYST, TUMOR, MeasuredSegment, Side
from tests.factories.bodies import EARLY, PLAIN, SPACING, Body, breathed
from tests.factories.scenes import ellipsoid, make_grid
from tests.factories.times import body, later

SIDES = default_numbers().sides
ML = 4 / 3 * math.pi / 1000  # of a ball, times its radius in mm to the third


def time_of(drawn: Body, *, ct: bool = True, seed: int = 0) -> TimePoint:
    image, pred = drawn.volumes(seed=seed)
    found = describe(image, pred, SIDES, Judgment())
    affine = image.affine.numpy()
    return TimePoint(found.segmented, affine, found.segments, image if ct else None)


@pytest.fixture(scope="module")
def times() -> tuple[TimePoint, TimePoint]:
    return time_of(body()), time_of(later(), seed=1)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody breathes, so that no kidney has to be registered."""

    def find_move(prior: TimePoint, now: TimePoint, side: Side) -> Move:
        alignment = Alignment(np.eye(4), 0.0, 0.0)
        carried = carry(now.labels(side), now.affine, alignment, prior.painted())
        return Move(alignment, carried, 1.0, "given")

    monkeypatch.setattr("renalseg.findings.followup.compare.find_move", find_move)


@pytest.fixture(scope="module")
def found(times: tuple[TimePoint, TimePoint]) -> Found:
    return compare(*times, 365)


@pytest.fixture(scope="module")
def said(found: Found) -> Comparison:
    return found.comparison


def test_a_tumor_that_moved_with_its_kidney_is_found_again(said: Comparison) -> None:
    (tumor,) = said.lesions
    assert (tumor.label, tumor.prior_label) == ("Right kidney tumor 1", "Right kidney tumor 1")
    assert tumor.distance_mm == pytest.approx(0, abs=2.5)
    assert tumor.overlap_percent is not None
    assert tumor.overlap_percent > 90
    for side, moved in said.sides.items():
        assert moved.by == "ct", side
        assert moved.covered_percent is not None
        assert moved.covered_percent > 90


def test_its_growth_is_that_which_was_drawn(said: Comparison) -> None:
    """Balls of 15 and 18 mm on voxels of 2.5 mm."""
    (tumor,) = said.lesions
    before, after = ML * 15**3, ML * 18**3
    assert tumor.volume_ml.prior == pytest.approx(before, rel=0.02)
    assert tumor.volume_ml.change == pytest.approx(after - before, abs=0.4)
    assert tumor.volume_ml.percent == pytest.approx(100 * (after / before - 1), abs=4)
    assert tumor.longest_mm.change == pytest.approx(6, abs=SPACING)
    assert tumor.volume_ml.per_year == pytest.approx(tumor.volume_ml.change * YEAR / 365, abs=1e-3)
    doubling = 365 * math.log(2) / math.log(after / before)
    assert tumor.doubling_days == pytest.approx(doubling, rel=0.04)


def test_one_lesion_is_new_and_one_is_gone(said: Comparison) -> None:
    (new,), (gone,) = said.new, said.gone
    assert new.side == gone.side == Side.LEFT
    assert new.volume_ml == pytest.approx(ML * 9**3, rel=0.08)
    assert said.unmatched == {}
    assert said.remarks == ()


def test_kidneys_are_compared_too(said: Comparison) -> None:
    assert [kidney.side for kidney in said.kidneys] == [Side.LEFT, Side.RIGHT]
    assert all(kidney.volume_ml.within_error for kidney in said.kidneys)
    assert all(kidney.doubling_days is None for kidney in said.kidneys)


@pytest.mark.usefixtures("still")
def test_a_study_does_not_differ_from_itself(times: tuple[TimePoint, TimePoint]) -> None:
    said = compare(times[0], times[0], 30).comparison
    assert len(said.lesions) == 2
    assert said.new == said.gone == said.remarks == ()
    for change in (*said.kidneys, *said.lesions):
        for measure in (change.longest_mm, change.volume_ml):
            assert measure.change == measure.percent == measure.per_year == 0
            assert measure.within_error
        assert change.doubling_days is None


@pytest.mark.slow
def test_the_other_way_round_all_changes_change_their_sign(
    times: tuple[TimePoint, TimePoint], said: Comparison
) -> None:
    back = compare(times[1], times[0], 365).comparison
    assert (back.new, back.gone) == (said.gone, said.new)
    for one, other in zip(
        (*said.kidneys, *said.lesions), (*back.kidneys, *back.lesions), strict=True
    ):
        for name in ("longest_mm", "volume_ml"):
            forth, opposite = getattr(one, name), getattr(other, name)
            assert opposite.change == -forth.change
            assert opposite.per_year == -forth.per_year
            assert opposite.error == forth.error
    assert back.lesions[0].doubling_days is None


@pytest.mark.slow
def test_without_the_cts_labels_are_registered() -> None:
    said = compare(time_of(body(), ct=False), time_of(later()), None).comparison
    assert {moved.by for moved in said.sides.values()} == {"labels"}
    (tumor,) = said.lesions
    assert tumor.volume_ml.per_year is tumor.doubling_days is None
    assert (len(said.new), len(said.gone)) == (1, 1)


@pytest.mark.slow
def test_another_table_and_another_phase_do_not_matter() -> None:
    """The patient lies 300 mm further and the second study has no contrast medium."""
    drawn = breathed(PLAIN, 12, -8)
    drawn.tumor((85, -35, 42), 18, 34)
    later = time_of(drawn)
    moved = later.affine.copy()
    moved[:3, 3] += (20, -30, 300)
    assert later.image is not None
    image = later.image.clone()
    image.affine[:] = image.affine.new_tensor(moved)
    (tumor,) = compare(
        time_of(breathed(EARLY)), replace(later, affine=moved, image=image), 100
    ).comparison.lesions
    assert tumor.distance_mm == pytest.approx(0, abs=2.5)
    assert tumor.volume_ml.change == pytest.approx(ML * (18**3 - 15**3), abs=0.4)


@pytest.mark.usefixtures("still")
def test_a_side_that_one_study_does_not_show_is_not_compared() -> None:
    drawn = breathed(EARLY)
    drawn.labels[: drawn.labels.shape[0] // 2] = 0
    said = compare(time_of(body()), time_of(drawn), 100).comparison
    assert said.sides[Side.LEFT].reason == "the later study shows no kidney there"
    assert [lesion.side for lesion in said.unmatched[EARLIER]] == [Side.LEFT]
    assert said.gone == ()


@pytest.mark.usefixtures("still")
def test_what_is_cut_has_no_rate() -> None:
    first, second = time_of(body()), time_of(body(radius=18))
    cut = [replace(each, lower_bound=each.kind == TUMOR) for each in second.segments]
    said = compare(first, replace(second, segments=cut), 100).comparison
    assert all(each.volume_ml.per_year is each.doubling_days is None for each in said.lesions)
    assert len([text for text in said.remarks if "is cut by the scan" in text]) == 2


@pytest.mark.usefixtures("still")
def test_a_tumor_that_is_now_called_a_cyst_is_the_same_lesion() -> None:
    first, second = time_of(breathed(EARLY)), time_of(breathed(EARLY))
    other = [
        replace(each, kind=CYST, label="Right kidney cyst 1") if each.kind == TUMOR else each
        for each in second.segments
    ]
    said = compare(first, replace(second, segments=other), None).comparison
    assert (said.lesions[0].kind, said.lesions[0].prior_kind) == (CYST, TUMOR)
    assert "proves no change" in said.remarks[0]


@pytest.mark.usefixtures("still")
def test_a_lesion_in_two_parts_is_matched_once() -> None:
    later = breathed(EARLY)
    x = later.grid[0]
    later.labels[(x > 83) & (x < 88)] = 0
    said = compare(time_of(breathed(EARLY)), time_of(later), None).comparison
    assert len(said.lesions) == 1
    assert [lesion.side for lesion in said.new] == [Side.RIGHT]
    assert "may be a part of it" in said.remarks[0]


def test_pairs_that_overlap_more_come_first(
    times: tuple[TimePoint, TimePoint], found: Found
) -> None:
    move = found.moves[Side.RIGHT]
    before, after = (time.near() for time in times)
    (tumor,) = after.of(Side.RIGHT, lesions=True)
    (same,) = before.of(Side.RIGHT, lesions=True)
    (other,) = before.of(Side.LEFT, lesions=True)
    (pair,) = match([other, same], [tumor], (before, after), move)
    assert pair.prior is same


# The error


@pytest.mark.parametrize("codes", ["RAS", "LIP"])
def test_the_error_of_a_ball_is_a_voxel_at_its_outline(codes: str) -> None:
    grid = make_grid(codes, (1.0, 1.0, 3.0))
    ball = ellipsoid(grid, (7, -11, 130), (20, 20, 20))
    errors = outline_error(ball, grid.affine)
    assert errors.source == OUTLINE
    assert 2 / math.sqrt(3) <= errors.mm <= 2 * 3.0
    layer = [4 * math.pi * 20**2 * thick / 1000 for thick in (0.9, 3.0)]
    assert layer[0] < errors.ml < layer[1]


def test_the_error_of_a_diameter_is_that_of_its_direction() -> None:
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    flat, high = np.zeros((30, 5, 3), bool), np.zeros((3, 5, 30), bool)
    flat[:, 2, 1] = high[1, 2, :] = True
    assert outline_error(flat, affine).mm == pytest.approx(2.0)
    assert outline_error(high, affine).mm == pytest.approx(8.0)
    one = np.zeros((3, 3, 3), bool)
    one[1, 1, 1] = True
    assert outline_error(one, affine).mm == 2 * spacing_of(affine).max()


@pytest.mark.usefixtures("still")
def test_measured_errors_take_the_place_of_bounds(times: tuple[TimePoint, TimePoint]) -> None:
    measured = {each.number: Errors(0.3, 0.4, REPEATS, (5, 5)) for each in times[0].segments}
    same = compare(times[0], times[0], 10, prior_errors=measured, now_errors=measured)
    for change in same.comparison.lesions:
        assert change.error_source == REPEATS
        assert change.longest_mm.error == pytest.approx(0.3 * math.sqrt(2), abs=1e-3)
        assert change.volume_ml.error == pytest.approx(0.4 * math.sqrt(2), abs=1e-3)
    mixed = compare(times[0], times[0], 10, prior_errors=measured)
    assert {change.error_source for change in mixed.comparison.lesions} == {OUTLINE}


def test_a_lesion_is_listed_with_its_measures() -> None:
    segment = MeasuredSegment(3, "Left kidney tumor 1", TUMOR, Side.LEFT, 5.0, 20, 19, 50, 5)
    assert asdict(Lesion.of(segment)) == {
        "number": 3, "label": "Left kidney tumor 1", "kind": TUMOR, "side": Side.LEFT,
        "longest_mm": 20, "volume_ml": 5.0,
    }  # fmt: skip


# What is said


def test_the_sentence_says_growth_and_what_is_new_and_gone(said: Comparison) -> None:
    text = compared(said)
    assert text is not None
    assert text.startswith("Compared with the study 12 months earlier: right kidney tumor 1 from ")
    assert "ml a year; doubling time 15 months." in text
    assert "New: left kidney tumor 1 (18 mm). No longer found: left kidney tumor 1 (18 mm)." in text


@pytest.mark.usefixtures("still")
def test_what_did_not_change_is_said_to_be_within_the_error(
    times: tuple[TimePoint, TimePoint],
) -> None:
    said = compared(compare(times[0], times[0], None).comparison)
    assert said is not None
    assert said.startswith("Compared with an earlier study: ")
    assert "right kidney tumor 1 unchanged within the error (29 to 29 mm, 14.2 to 14.2 ml)" in said
    assert compared(None) is None


@pytest.mark.parametrize(
    ("days", "text"),
    [(1, "1 day"), (90, "90 days"), (365, "12 months"), (-365, "12 months"), (1096, "3.0 years")],
)
def test_times_are_said_as_people_do(days: int, text: str) -> None:
    assert time_text(days) == text
