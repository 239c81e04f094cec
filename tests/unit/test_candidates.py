"""What goes on from a localizer: the pieces that can be kidneys, whatever their sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from renalseg.components import components, gap_mm
from renalseg.findings.plausibility.candidates import choose_kidneys
from renalseg.labels import KIDNEY
from tests.factories.bodies import Body
from tests.factories.limits import ANYTHING
from tests.unit.test_plausibility import (
    KIDNEYS,
    LIMITS,
    atrophic,
    both,
    graft,
    horseshoe,
    huge_tumor,
    pelvic,
    single,
    trunk,
)

Draw = Callable[[], Body]
Labels = np.ndarray


def chosen(body: Body) -> Labels:
    image, mask = body.volumes()
    return choose_kidneys(image, mask, LIMITS)[0].numpy()


def bladder(body: Body) -> None:
    """Larger than a kidney, on the midline of the pelvis."""
    body.fill((0, 25, -75), (42, 36, 34), 12, KIDNEY)


def muscles(body: Body) -> None:
    """Two on the back, above the kidneys."""
    for side in (-1, 1):
        body.fill((side * 45, -98, 85), (30, 14, 25), 60, KIDNEY)


@pytest.mark.parametrize("draw", [both, single, horseshoe, huge_tumor, atrophic])
def test_a_bladder_and_muscles_take_no_kidney_away(draw: Draw) -> None:
    body = draw()
    kidneys = body.labels.copy()
    bladder(body)
    muscles(body)
    assert np.array_equal(chosen(body), kidneys)


@pytest.mark.parametrize("draw", [pelvic, graft])
def test_kidneys_in_the_pelvis_stay(draw: Draw) -> None:
    body = draw()
    kidneys = body.labels.copy()
    muscles(body)
    assert np.array_equal(chosen(body), kidneys)


@pytest.mark.parametrize("draw", KIDNEYS)
def test_what_is_found_alone_stays(draw: Draw) -> None:
    image, mask = draw().volumes()
    assert choose_kidneys(image, mask, LIMITS) is mask


def test_a_larger_piece_of_the_liver_is_no_second_kidney() -> None:
    body = both()
    kidneys = body.labels.copy()
    body.fill((75, 30, 85), (50, 45, 26), 110, KIDNEY)
    assert (body.labels == KIDNEY).sum() - (kidneys > 0).sum() > (kidneys > 0).sum() / 2
    assert np.array_equal(chosen(body), kidneys)


def test_a_torn_kidney_stays_whole() -> None:
    body = both()
    body.labels[body.within((65, -35, -12), (40, 40, 5))] = 0  # a gap of a centimeter
    torn = body.labels.copy()
    bladder(body)
    assert len(components(torn > 0)[1]) == 3
    assert np.array_equal(chosen(body), torn)


def test_what_lies_near_a_kidney_was_not_torn_off_it() -> None:
    body = both()
    kidneys = body.labels.copy()
    body.fill((-105, -10, 65), (22, 20, 20), 152, KIDNEY)  # as dense as the kidney
    assert len(components(body.labels > 0)[1]) == 3
    assert np.array_equal(chosen(body), kidneys)


def doubtful(body: Body, hu: float) -> None:
    """A left kidney of bone or nearly so, without fat around it."""
    body.fill((-65, -35, 0), (42, 40, 75), 55)
    body.fill((-65, -35, 0), (27, 24, 55), hu, KIDNEY)


@pytest.mark.parametrize(("hu", "stays"), [(300, True), (600, False)])
def test_a_doubtful_half_of_a_pair_goes_on_and_an_impossible_one_does_not(
    hu: float, stays: bool
) -> None:
    """The outline may be at fault: the next network draws it anew."""
    body = trunk()
    body.kidney(1)
    other = body.labels.copy()
    doubtful(body, hu)
    kidneys = body.labels.copy()
    bladder(body)
    assert np.array_equal(chosen(body), kidneys if stays else other)


def test_where_nothing_can_be_a_kidney_the_largest_go_on() -> None:
    body = trunk()
    muscles(body)
    two = body.labels.copy()
    body.fill((0, -100, -60), (14, 10, 30), 60, KIDNEY)
    assert len(components(body.labels > 0)[1]) == 3
    assert np.array_equal(chosen(body), two)


def test_limits_that_allow_anything_choose_by_place_and_size() -> None:
    body = both()
    kidneys = body.labels.copy()
    body.fill((-65, -35, 85), (15, 15, 15), 60, KIDNEY)
    image, mask = body.volumes()
    kept = choose_kidneys(image, mask, ANYTHING.plausibility)
    assert np.array_equal(kept[0].numpy(), kidneys)
    assert torch.equal(kept.affine, mask.affine)


def test_the_gap_between_points_is_the_shortest_distance() -> None:
    first = np.array([[0.0, 0, 0], [0, 0, 4]])
    assert gap_mm(first, first + np.array([3, 0, 8])) == pytest.approx(5)
