"""Findings of one series, followed through the other contrast phases of its study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from monai.data import MetaTensor

from renalseg.findings.enhancement import Values, enhancement_of, measure_values, remarks
from renalseg.findings.findings import Findings, find
from renalseg.findings.phases import NOT_SHOWN, SAME_PHASE, follow
from renalseg.findings.registration import align, carry
from renalseg.grids import Grid
from renalseg.inference.methods import default_numbers
from renalseg.labels import CYST, KIDNEY, TUMOR, MeasuredSegment, Side
from tests.factories.bodies import DENSITIES, EARLY, LATE, PLAIN, Body, breathed
from tests.factories.scenes import GRIDS, ellipsoid, make_grid, volume

NUMBERS = default_numbers()


def found_in(body: Body) -> tuple[MetaTensor, Findings]:
    image, pred = body.volumes()
    return image, find(image, pred, NUMBERS)


def followed(*others: Body) -> Findings:
    image, findings = found_in(breathed(EARLY))
    series = [(f"1.2.{n}", body.volumes(seed=n)[0]) for n, body in enumerate(others, start=1)]
    return follow(findings, image, series, NUMBERS.plausibility)


# Registration


def test_each_kidney_is_found_where_it_moved() -> None:
    image, findings = found_in(breathed(EARLY))
    other, _ = breathed(PLAIN, right=15, left=-10).volumes(seed=1)
    for side, moved in ((Side.RIGHT, 15), (Side.LEFT, -10)):
        numbers = [each.number for each in findings.segments if each.side == side]
        alignment = align(image, np.isin(findings.segmented, numbers), other)
        assert alignment is not None
        assert alignment.shift_mm == pytest.approx(abs(moved), abs=1.5)
        assert alignment.degrees < 3
        at = np.array([65.0 if side == Side.RIGHT else -65.0, -35.0, 0.0, 1.0])
        assert (alignment.matrix @ at)[:3] == pytest.approx([*at[:2], moved], abs=1.5)


@pytest.mark.parametrize("name", GRIDS)
def test_a_kidney_is_carried_to_any_grid(name: str) -> None:
    """Two grids of the same patient, whose kidney went 9 mm up."""
    still = make_grid("LPS", (2.0, 2.0, 3.0))
    other = GRIDS[name]
    images = []
    for grid, up in ((still, 0.0), (other, 9.0)):
        z = 128.0 + up
        hu = np.full(grid.shape, -100.0, np.float32)
        hu[ellipsoid(grid, (10, -8, z), (24, 18, 40))] = 150
        hu[ellipsoid(grid, (2, -4, z), (9, 8, 16))] = -60
        hu[ellipsoid(grid, (19, -8, z + 24), (8, 8, 8))] = 60
        images.append(volume(hu, grid))
    kidney = ellipsoid(still, (10, -8, 128), (24, 18, 40))
    alignment = align(images[0], kidney, images[1])
    assert alignment is not None
    carried = carry(kidney.astype(np.uint8), still.affine, alignment, images[1])
    truth = ellipsoid(other, (10, -8, 137), (24, 18, 40))
    overlap = 2 * (truth & (carried > 0)).sum() / (truth.sum() + (carried > 0).sum())
    assert overlap > 0.9


def test_the_same_series_give_the_same_movement() -> None:
    image, findings = found_in(breathed(EARLY))
    other, _ = breathed(PLAIN, right=15).volumes(seed=1)
    first, second = (align(image, findings.segmented == 2, other) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.matrix == pytest.approx(second.matrix, abs=1e-5)


def test_a_kidney_that_the_other_series_cuts_is_not_followed() -> None:
    image, findings = found_in(breathed(EARLY))
    other, _ = breathed(PLAIN).volumes()
    part = Grid.of(other).crop((slice(0, 140), slice(0, 110), slice(50, 90)))
    above = volume(other[..., 50:].numpy(), part)
    assert align(image, findings.segmented > 0, above) is None


# Densities


def test_densities_are_those_within_the_outline() -> None:
    hu = np.full((12, 12, 4), -100, np.float32)
    mask = np.zeros(hu.shape, bool)
    mask[3:9, 3:9] = True
    hu[4:8, 4:8] = 50
    measured = measure_values(hu, mask)
    assert measured is not None
    assert measured.mean_hu == 50
    assert measured.sd_hu == 0
    assert measure_values(hu, np.zeros_like(mask)) is None


def test_shares_are_of_fat_calcification_and_fluid() -> None:
    hu = np.full((20, 20, 5), 40, np.float32)
    mask = np.ones(hu.shape, bool)
    hu[..., 0], hu[..., 1], hu[..., 2] = -60, 400, 5
    measured = measure_values(hu, mask)
    assert measured is not None
    assert measured.shares == pytest.approx((20, 20, 20))


def test_a_rise_a_share_of_it_and_what_is_gone() -> None:
    values = {
        phase: Values(hu, 5.0, (1.0, 2.0, 3.0))
        for phase, hu in ((LATE, 80.0), (PLAIN, 40.0), (EARLY, 120.0))
    }
    measured = enhancement_of(values, TUMOR)
    assert [each.phase for each in measured.values] == [PLAIN, EARLY, LATE]
    assert measured.absolute_hu == 80
    assert measured.relative_percent == 200
    assert measured.washout_percent == 50
    assert (measured.fat_percent, measured.calcified_percent, measured.fluid_percent) == (1, 2, 3)
    assert enhancement_of(values, KIDNEY).fat_percent is None


def test_what_enhances_is_no_fluid() -> None:
    """Solid tissue of 16 HU becomes brighter; a cyst stays as thin as it is."""
    shares = {PLAIN: (0.0, 0.0, 77.0), EARLY: (0.0, 40.0, 3.0), LATE: (0.0, 0.0, 8.0)}
    measured = enhancement_of({phase: Values(50.0, 5.0, s) for phase, s in shares.items()}, TUMOR)
    assert (measured.calcified_percent, measured.fluid_percent) == (0, 3)


def test_without_a_series_without_contrast_there_is_no_rise() -> None:
    values = {phase: Values(100.0, 5.0, (0.0, 0.0, 0.0)) for phase in (EARLY, LATE)}
    measured = enhancement_of(values, TUMOR)
    assert len(measured.values) == 2
    assert measured.absolute_hu is None


@pytest.mark.parametrize(
    ("kind", "rise", "words"),
    [
        (TUMOR, 4.0, "does not enhance"),
        (TUMOR, 15.0, "decides nothing"),
        (TUMOR, 60.0, None),
        (CYST, 4.0, None),
        (CYST, 30.0, "fluid does not"),
        (KIDNEY, 0.0, None),
    ],
)
def test_what_enhancement_speaks_against_is_said(kind: int, rise: float, words: str | None) -> None:
    values = {
        PLAIN: Values(20.0, 5.0, (0.0, 0.0, 0.0)),
        EARLY: Values(20.0 + rise, 5.0, (0.0, 0.0, 0.0)),
    }
    segment = replace(
        MeasuredSegment(3, "Left kidney lesion", kind, Side.LEFT, 5.0, 20, 20, 50, 5),
        enhancement=enhancement_of(values, kind),
    )
    said = remarks([segment])
    assert [words in text for text in said] == [True] if words else not said


# A study


def test_a_study_of_three_phases_gives_each_segment_its_densities() -> None:
    findings = followed(breathed(PLAIN, right=12, left=5), breathed(LATE, right=-8))
    assert [(each.phase, each.reason) for each in findings.phases] == [(PLAIN, None), (LATE, None)]
    assert findings.phases[0].shift_mm[Side.RIGHT] == pytest.approx(12, abs=1.5)
    (tumor,) = (segment for segment in findings.segments if segment.kind == TUMOR)
    assert tumor.enhancement is not None
    densities = {each.phase: each.mean_hu for each in tumor.enhancement.values}
    for phase, mean in densities.items():
        assert mean == pytest.approx(DENSITIES[phase][3], abs=4)
    assert tumor.enhancement.absolute_hu == pytest.approx(120 - 34, abs=6)
    assert findings.judgment.review == ()


def test_a_series_of_the_same_phase_measures_nothing() -> None:
    findings = followed(breathed(EARLY, right=4))
    assert [each.reason for each in findings.phases] == [SAME_PHASE]
    assert all(segment.enhancement is None for segment in findings.segments)


def test_a_series_that_does_not_show_the_kidneys_is_named() -> None:
    image, findings = found_in(breathed(EARLY))
    far = make_grid("RAS", center=(0, 0, 900))
    other = volume(np.zeros(far.shape, np.float32), far)
    followed = follow(findings, image, [("1.2.9", other)], NUMBERS.plausibility)
    assert followed.phases[0].reason == NOT_SHOWN
    assert followed.segments == findings.segments


def test_nothing_found_is_followed_nowhere() -> None:
    body = Body()
    body.trunk()
    image, findings = found_in(body)
    assert follow(findings, image, [("1.2.9", image)], NUMBERS.plausibility) is findings
