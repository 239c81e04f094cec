"""The error of a method, measured by segmenting a slightly moved CT again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.findings.findings import Findings, describe
from renalseg.findings.followup.change import REPEATS
from renalseg.findings.followup.match import TimePoint
from renalseg.findings.registration import Alignment, carry
from renalseg.findings.sentences import Judgment
from renalseg.followup.repeats import DEGREES, measure_errors, movement, perturbed
from renalseg.geometry import to_world
from renalseg.inference.methods import default_numbers
from renalseg.labels import KIDNEY, TUMOR
from tests.factories.scenes import ellipsoid, make_grid, volume

GRID = make_grid("LPS", (2.0, 2.0, 3.0))
SIDES = default_numbers().sides


def drawn() -> MetaTensor:
    hu = np.full(GRID.shape, -100, np.float32)
    hu[ellipsoid(GRID, (7, -11, 130), (26, 20, 42))] = 150
    hu[ellipsoid(GRID, (27, -11, 140), (14, 14, 14))] = 350
    return volume(hu, GRID)


def by_density(image: MetaTensor) -> Findings:
    """A method that needs no network: it segments what is dense."""
    hu = image[0].numpy()
    labels = np.where(hu > 250, TUMOR, np.where(hu > 50, KIDNEY, 0)).astype(np.uint8)
    pred = MetaTensor(torch.from_numpy(labels)[None], affine=image.affine)
    return describe(image, pred, SIDES, Judgment())


def time_of(image: MetaTensor, findings: Findings) -> TimePoint:
    return TimePoint(findings.segmented, GRID.affine, findings.segments, image)


def test_a_method_that_hardly_varies_has_a_small_error() -> None:
    image = drawn()
    time = time_of(image, by_density(image))
    errors = measure_errors(time, by_density, 4)
    assert sorted(errors) == [each.number for each in time.segments]
    (tumor,) = (each for each in time.segments if each.kind == TUMOR)
    own = errors[tumor.number]
    assert own.source == REPEATS
    assert own.found == (4, 4)
    assert 0 < own.mm < 3.0
    assert 0 < own.ml < 0.15 * tumor.volume_ml
    assert measure_errors(time, by_density, 4) == errors


def test_what_is_not_found_again_has_no_measured_error() -> None:
    image = drawn()
    time = time_of(image, by_density(image))

    def blind(moved: MetaTensor) -> Findings:
        return by_density(MetaTensor(moved.clamp(max=200), affine=moved.affine))

    errors = measure_errors(time, blind, 2)
    kinds = {each.number: each.kind for each in time.segments}
    assert {kinds[number] for number in errors} == {KIDNEY}


@pytest.mark.parametrize("number", range(3))
def test_a_ct_moves_as_its_movement_says(number: int) -> None:
    image = drawn()
    matrix = movement(image, number)
    turn = matrix[:3, :3]
    assert turn @ turn.T == pytest.approx(np.eye(3))
    assert np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) <= DEGREES
    middle = to_world(GRID.affine, (np.array(GRID.shape) - 1) / 2)
    assert (np.abs(to_world(matrix, middle) - middle) <= np.array([1.0, 1.0, 1.5]) + 1e-9).all()
    labels = (image[0].numpy() > 50).astype(np.uint8)
    moved = perturbed(image, matrix, number)
    carried = carry(labels, GRID.affine, Alignment(matrix, 0, 0), moved)
    again = moved[0].numpy() > 25
    assert 2 * (again & (carried > 0)).sum() / (again.sum() + carried.sum()) > 0.98
