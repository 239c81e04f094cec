"""The error of a method on one CT, which is segmented again slightly moved and noisier."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from monai.data import MetaTensor
from scipy import ndimage

from renalseg.findings.findings import Findings
from renalseg.findings.followup.change import REPEATS, Errors
from renalseg.findings.followup.match import Move, TimePoint, match
from renalseg.findings.registration import Alignment, carry
from renalseg.geometry import Array, spacing_of, to_world
from renalseg.labels import MeasuredSegment, Side

DEGREES, VOXELS, NOISE_HU = 1.0, 0.5, 5.0  # most that the CT is turned and shifted; SD of the noise
_WITHIN = 1.96  # standard deviations that hold 95 % of the values
_AIR_HU = -1000.0
Segment = Callable[[MetaTensor], Findings]
"""Segments and measures a CT, HU (1, X, Y, Z), as a run would."""


def measure_errors(time: TimePoint, segment: Segment, count: int) -> Mapping[int, Errors]:
    """Measures the errors of what was found in a CT.

    Args:
        time: What was found; has its CT.
        segment: The method.
        count: How many times it is segmented again.

    Returns:
        By segment number, of segments that were found again at least once: 1.96 standard deviations
        of their measures, those of the first segmentation among them.
    """
    assert time.image is not None
    values = {each.number: [(each.longest_mm, each.volume_ml)] for each in time.segments}
    for number in range(count):
        matrix = movement(time.image, number)
        moved = perturbed(time.image, matrix, number)
        findings = segment(moved)
        again = TimePoint(findings.segmented, time.affine, findings.segments, moved)
        for first, second in _same(time, again, matrix):
            values[first.number].append((second.longest_mm, second.volume_ml))
    errors = {}
    for number, found in values.items():
        if len(found) > 1:
            mm, ml = _WITHIN * np.std(found, axis=0, ddof=1)
            errors[number] = Errors(float(mm), float(ml), REPEATS, (len(found) - 1, count))
    return errors


def movement(image: MetaTensor, number: int) -> Array:
    """The movement (4, 4) in RAS mm of a repetition: the same for the same number.

    Args:
        image: HU (1, X, Y, Z).
        number: Of the repetition, from 0.
    """
    random = np.random.default_rng(number)
    affine = np.asarray(image.affine, dtype=np.float64)
    x, y, z = random.normal(size=3)
    axis = np.array([x, y, z]) / np.linalg.norm([x, y, z])
    angle = np.radians(random.uniform(-DEGREES, DEGREES))
    cross = np.cross(np.eye(3), axis)
    turn = np.eye(3) - np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    shift = (
        affine[:3, :3]
        / spacing_of(affine)
        @ (random.uniform(-VOXELS, VOXELS, 3) * spacing_of(affine))
    )
    center = to_world(affine, (np.array(image.shape[1:]) - 1) / 2)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, center - turn @ center + shift
    return matrix


def perturbed(image: MetaTensor, matrix: Array, number: int) -> MetaTensor:
    """A CT that was moved and is noisier, on the same grid.

    Args:
        image: HU (1, X, Y, Z).
        matrix: The movement, in RAS mm.
        number: Of the repetition; the same gives the same noise.
    """
    affine = np.asarray(image.affine, dtype=np.float64)
    back = np.linalg.inv(affine) @ np.linalg.inv(matrix) @ affine
    hu = ndimage.affine_transform(
        image[0].numpy(), back[:3, :3], back[:3, 3], order=1, cval=_AIR_HU
    )
    noise = np.random.default_rng(number).standard_normal(hu.shape, dtype=np.float32)
    return MetaTensor(torch.from_numpy(hu + NOISE_HU * noise)[None], affine=image.affine)


def _same(
    time: TimePoint, again: TimePoint, matrix: Array
) -> list[tuple[MeasuredSegment, MeasuredSegment]]:
    """The segments of a CT, and those of its repetition."""
    found = []
    for side in Side:
        if not time.of(side) or not again.of(side) or again.image is None:
            continue
        alignment = Alignment(matrix, 0.0, 0.0)
        carried = carry(time.labels(side), time.affine, alignment, again.image)
        move = Move(alignment, carried, 1.0, "given")
        before, after = again.of(side, lesions=True), time.of(side, lesions=True)
        found += [(pair.now, pair.prior) for pair in match(before, after, (again, time), move)]
        kidneys = [each.kidney(side) for each in (time, again)]
        if kidneys[0] is not None and kidneys[1] is not None:
            found.append((kidneys[0], kidneys[1]))
    return found
