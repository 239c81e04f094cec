"""What may be reported: what can be a kidney, what can be a tumor, and the contrast phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.findings.plausibility import NOT_ENHANCED, Judged, judge
from renalseg.findings.plausibility.phase import Signs, phase_of
from renalseg.findings.plausibility.tumors import most_islands, solidity, thickness
from renalseg.inference.methods import default_numbers
from renalseg.labels import KIDNEY, TUMOR, ContrastPhase
from tests.factories.bodies import SHAPE, Body

LIMITS = default_numbers().plausibility
NAN = float("nan")


def judged(body: Body, *, elsewhere: bool = False) -> Judged:
    image, pred = body.volumes()
    return judge(image, pred, LIMITS, elsewhere=elsewhere)


def trunk(aorta: float = 150, scale: float = 1.0) -> Body:
    body = Body(scale)
    body.trunk(aorta)
    return body


def both() -> Body:
    body = trunk()
    body.kidney(1)
    body.kidney(-1)
    return body


def single() -> Body:
    body = trunk()
    body.kidney(-1, radii=(33, 30, 68))
    return body


def pelvic() -> Body:
    body = trunk()
    body.kidney(1)
    body.kidney(-1, center=(30, 10, -60), radii=(25, 22, 42))
    return body


def graft() -> Body:
    """In the iliac fossa; the own kidneys have shrunk away."""
    body = trunk()
    body.kidney(1, center=(85, 45, -50), radii=(27, 25, 50))
    return body


def huge_tumor() -> Body:
    body = both()
    body.tumor((85, 10, -5), 55, 70)
    return body


def cystic() -> Body:
    """Polycystic kidneys: large, of water, with septa."""
    body = trunk()
    for side in (1, -1):
        body.kidney(side, 12, 12, center=(75, -25, 0), radii=(45, 42, 85))
        stripes = np.indices(SHAPE).sum(axis=0) % 9 == 0
        body.hu[stripes & (body.labels > 0)] = 110
    return body


def atrophic() -> Body:
    body = trunk()
    body.kidney(1)
    body.kidney(-1, 95, 90, radii=(15, 14, 32))
    return body


def horseshoe() -> Body:
    body = both()
    body.fill((0, -28, -42), (70, 12, 12), 150, KIDNEY)
    return body


def newborn() -> Body:
    body = trunk(scale=0.48)
    body.kidney(1)
    body.kidney(-1)
    return body


def thin() -> Body:
    """Hardly any fat around the kidneys."""
    body = trunk()
    for side in (1, -1):
        body.fill((side * 65, -35, 0), (45, 42, 75), 55)
        body.kidney(side)
    return body


def cut() -> Body:
    """Only the upper poles are in the scan."""
    body = trunk()
    for side in (1, -1):
        body.kidney(side, center=(65, -35, -140))
    return body


KIDNEYS = [
    both, single, pelvic, graft, huge_tumor, cystic, atrophic, horseshoe, newborn, thin, cut
]  # fmt: skip


@pytest.mark.parametrize("draw", KIDNEYS)
@pytest.mark.parametrize("flip", [(), (1, 2)], ids=["RAS", "LPS"])
def test_kidneys_stay(draw: Callable[[], Body], flip: tuple[int, ...]) -> None:
    image, pred = draw().volumes()
    affine = image.affine.clone()
    for axis in flip:
        affine[:3, 3] += affine[:3, axis - 1] * (image.shape[axis] - 1)
        affine[:3, axis - 1] *= -1
    turned = [MetaTensor(v.as_tensor().flip(flip), affine=affine) for v in (image, pred)]
    result = judge(turned[0], turned[1], LIMITS)
    assert result.judgment.reason is None
    assert torch.equal(result.pred.as_tensor(), turned[1].as_tensor())
    assert torch.equal(result.pred.affine, affine)


def brain() -> Body:
    body = Body()
    body.fill((0, 0, 10), (80, 95, 85), 60)
    body.fill((0, 0, 10), (74, 89, 79), 900)
    body.fill((0, 0, 10), (68, 83, 73), 36, KIDNEY)
    return body


def skull() -> Body:
    body = brain()
    body.labels[:] = 0
    body.labels[body.hu == 900] = KIDNEY
    return body


def back() -> Body:
    body = trunk()
    for side in (-1, 1):
        body.fill((side * 40, -98, 0), (30, 15, 60), 55, KIDNEY)
    return body


def thighs() -> Body:
    """Muscle around bone; the "kidneys" are muscles."""
    body = Body()
    for side in (1, -1):
        body.fill((side * 85, 0, 0), (75, 75, np.inf), -100)
        body.fill((side * 85, 0, 0), (66, 66, np.inf), 55)
        body.fill((side * 85, 0, 0), (15, 15, np.inf), 900)
        body.fill((side * 85, 40, 0), (40, 18, 70), 55, KIDNEY)
    return body


def lungs() -> Body:
    body = trunk()
    for side in (1, -1):
        body.fill((side * 70, 0, 20), (50, 65, 80), -850, KIDNEY)
    return body


def pelvis() -> Body:
    """One organ on the midline, parted by it."""
    body = trunk()
    body.fill((0, 10, -60), (50, 45, 40), 20, KIDNEY)
    body.labels[:, :, : int(SHAPE[2] / 2 - 60 / 2.5)] = 0
    return body


def water() -> Body:
    body = Body()
    body.fill((0, 0, 0), (100, 100, np.inf), 0, KIDNEY)
    return body


def box() -> Body:
    """A piece of the liver in the shape of the box in which it was looked for."""
    body = trunk()
    body.fill((70, 10, 20), (70, 70, 75), 60)
    body.labels[85:105, 50:75, 30:60] = KIDNEY
    return body


OTHERS = [brain, skull, back, thighs, lungs, pelvis, water, box]


@pytest.mark.parametrize("draw", OTHERS)
def test_nothing_else_is_a_kidney(draw: Callable[[], Body]) -> None:
    result = judged(draw())
    assert not result.pred.any()
    assert result.judgment.reason is not None
    assert result.judgment.reason.startswith("what was found on the ")


def test_one_side_can_be_refused_alone() -> None:
    body = trunk()
    body.kidney(-1)
    body.fill((40, -98, 0), (30, 15, 60), 55, KIDNEY)
    result = judged(body)
    x = np.argwhere(result.pred[0].numpy())[:, 0]
    assert (x < SHAPE[0] / 2).all()  # the left one, in RAS
    assert result.judgment.reason is None
    (text,) = result.judgment.review
    assert text.startswith("What was found on the right")
    assert text.endswith("no kidney, not reported.")


def test_the_body_part_of_the_header_is_one_doubt() -> None:
    assert judged(both(), elsewhere=True).judgment.reason is None
    doubtful = horseshoe()  # of another shape
    assert judged(doubtful).judgment.reason is None
    reason = judged(doubtful, elsewhere=True).judgment.reason
    assert reason is not None
    assert "a scan of another part of the body" in reason


def test_nothing_found_is_nothing_to_judge() -> None:
    result = judged(trunk())
    assert not result.pred.any()
    assert result.judgment.reason is None
    assert result.judgment.phase == ContrastPhase.UNKNOWN


# Tumors


def all_tumor() -> Body:
    """The right kidney is called tumor but for a rim."""
    body = both()
    body.labels[body.within((65, -35, 0), (26, 23, 53)) & (body.labels == KIDNEY)] = TUMOR
    return body


def test_a_kidney_that_is_called_tumor_is_a_kidney() -> None:
    body = all_tumor()
    result = judged(body)
    assert np.array_equal(result.pred[0].numpy() > 0, body.labels > 0)
    assert not (result.pred == TUMOR).any()
    (text,) = result.judgment.review
    assert text.startswith("A region of ")
    assert "in the right kidney was called tumor" in text
    assert text.endswith("not reported.")


def test_half_a_kidney_that_looks_like_the_other_is_no_tumor() -> None:
    body = both()
    half = body.within((65, -35, 30), (40, 40, 30)) & (body.labels == KIDNEY)
    body.labels[half] = TUMOR
    result = judged(body)
    assert not (result.pred == TUMOR).any()
    assert "looks like the other kidney" in result.judgment.review[0]


@pytest.mark.parametrize(
    ("radius", "center"), [(12, (80, -35, 20)), (30, (85, -20, 30)), (55, (85, 10, 0))]
)
def test_a_tumor_darker_than_the_kidney_stays(radius: float, center: tuple[float, ...]) -> None:
    body = both()
    body.tumor(center, radius, 75)
    result = judged(body)
    assert np.array_equal(result.pred[0].numpy(), body.labels)
    assert not result.judgment.review


def test_a_small_tumor_as_dense_as_the_kidney_stays_and_is_to_be_reviewed() -> None:
    body = both()
    body.tumor((88, -35, 10), 15, 152)
    result = judged(body)
    assert np.array_equal(result.pred[0].numpy(), body.labels)
    (text,) = result.judgment.review
    assert text.endswith("has the densities of the other kidney.")


@pytest.mark.parametrize(
    ("cortex", "aorta", "urine", "phase"),
    [(30, 42, 5, ContrastPhase.NONCONTRAST), (120, 100, 600, ContrastPhase.EXCRETORY)],
)
def test_no_tumor_in_a_phase_that_was_never_measured(
    cortex: float, aorta: float, urine: float, phase: ContrastPhase
) -> None:
    body = trunk(aorta)
    for side in (1, -1):
        body.kidney(side, cortex, cortex)
        body.fill((side * 62, -33, 0), (7, 5, 9), urine, KIDNEY)
    body.tumor((90, -35, 10), 20, cortex - 15)
    result = judged(body)
    assert result.judgment.phase == phase
    assert not (result.pred == TUMOR).any()
    assert f"called tumor in the {phase.value} phase" in result.judgment.review[0]
    assert (NOT_ENHANCED in result.judgment.review) == (phase == ContrastPhase.NONCONTRAST)
    reported = replace(LIMITS, tumor=replace(LIMITS.tumor, phases=(phase.value,)))
    result = judge(*body.volumes(), reported)
    assert (result.pred == TUMOR).any()
    asked = [text for text in result.judgment.review if "in which the method was never" in text]
    assert len(asked) == 1
    measured = replace(reported, tumor=replace(reported.tumor, measured=(phase.value,)))
    review = judge(*body.volumes(), measured).judgment.review
    assert not any("never measured" in text for text in review)


def test_islands_are_to_be_reviewed() -> None:
    body = both()
    for y in (-50, -35, -20):
        for x in (52, 65, 78):
            body.tumor((x, y, 5), 5.5, 60)
    body.tumor((65, -35, 24), 14, 60)
    for y in (-50, -20):  # what joins them into one
        body.fill((65, y, 14), (16, 3, 10), 60, TUMOR)
    result = judged(body)
    assert (result.pred == TUMOR).any()
    assert any("islands in one slice" in text for text in result.judgment.review)


def test_beads_on_a_string_are_to_be_reviewed() -> None:
    body = both()
    for z in (-30, 0, 30):
        body.tumor((65, -35, z), 10, 60)
    body.fill((65, -35, 0), (3, 3, 30), 60, TUMOR)
    result = judged(body)
    assert (result.pred == TUMOR).any()
    (text,) = [text for text in result.judgment.review if "in fragments" in text]
    assert text.startswith("The tumor of ")
    assert "on the right is in fragments: it fills only " in text
    ((voxel, reason),) = [doubt for doubt in result.doubts if "in fragments" in doubt[1]]
    assert result.pred[(0, *voxel)] == TUMOR
    assert text.endswith(f" on the right {reason}.")


def test_a_layer_of_a_neighboring_organ_is_no_tumor() -> None:
    body = both()
    body.fill((65, -35, 5), (24, 24, 30), 60, TUMOR)
    body.fill((65, -35, 5), (20, 20, 26), 150, KIDNEY)
    result = judged(body)
    assert not (result.pred == TUMOR).any()
    assert any("thinner than any tumor" in text for text in result.judgment.review)


def test_a_ball_is_as_thick_as_its_volume_allows_and_a_layer_is_not() -> None:
    x, y, z = np.ogrid[-12:13, -12:13, -12:13]
    ball = x**2 + y**2 + z**2 <= 100
    assert thickness(ball, np.ones(3)) == pytest.approx(1, abs=0.1)
    layer = np.zeros((40, 40, 3), dtype=bool)
    layer[5:35, 5:35, 1:2] = True
    assert thickness(layer, np.array([2.0, 2.0, 3.0])) < 0.25


def test_a_tumor_is_as_solid_as_its_hull_is_full() -> None:
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[2:7, 2:7, 2:7] = True
    assert solidity(mask, (2, 2, 5)) == pytest.approx(1)
    mask[2:7, 2:7, 3:6] = False
    mask[4, 4, 3:6] = True
    assert solidity(mask, (2, 2, 5)) == pytest.approx((2 * 25 + 3) / 125)
    one = np.ones((1, 1, 1), dtype=bool)
    assert solidity(one, (2, 2, 5)) == pytest.approx(1)


def test_islands_are_counted_slice_by_slice() -> None:
    mask = np.zeros((20, 20, 3), dtype=bool)
    mask[:, 0, 0] = True
    mask[::4, 2:4, 1] = True
    mask[1, 2, 2] = True
    assert most_islands(mask, (2, 2, 5), 8.0) == 5
    assert most_islands(mask, (2, 2, 5), 9.0) == 1
    assert most_islands(np.zeros_like(mask), (2, 2, 5), 1.0) == 0


# Contrast phases


@pytest.mark.parametrize(
    ("signs", "phase"),
    [
        (Signs(45, 30, 32, 31, 0), ContrastPhase.NONCONTRAST),
        (Signs(NAN, 30, 32, 31, 0), ContrastPhase.NONCONTRAST),
        (Signs(300, 40, 35, 38, 0), ContrastPhase.UNKNOWN),  # diseased kidneys
        (Signs(320, 170, 80, 130, 0), ContrastPhase.CORTICOMEDULLARY),
        (Signs(320, 170, 80, 130, 2), ContrastPhase.CORTICOMEDULLARY),
        (Signs(170, 165, 130, 150, 0), ContrastPhase.NEPHROGRAPHIC),
        (Signs(NAN, 165, 160, 162, 0), ContrastPhase.NEPHROGRAPHIC),
        (Signs(110, 140, 145, 142, 3), ContrastPhase.EXCRETORY),
        (Signs(NAN, NAN, NAN, NAN, 0), ContrastPhase.UNKNOWN),
    ],
)
def test_phase_of_signs(signs: Signs, phase: ContrastPhase) -> None:
    assert phase_of(signs, LIMITS.phase) == phase


@pytest.mark.parametrize(
    ("aorta", "cortex", "medulla", "phase"),
    [
        (42, 30, 30, ContrastPhase.NONCONTRAST),
        (300, 180, 80, ContrastPhase.CORTICOMEDULLARY),
        (160, 165, 150, ContrastPhase.NEPHROGRAPHIC),
    ],
)
def test_phase_of_a_body(aorta: float, cortex: float, medulla: float, phase: ContrastPhase) -> None:
    body = trunk(aorta)
    for side in (1, -1):
        body.kidney(side, cortex, medulla)
    assert judged(body).judgment.phase == phase
