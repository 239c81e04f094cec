"""Rigid registration of one kidney between two series of a study.

Breathing moves each kidney on its own, by centimeters and some degrees, and hardly bends it. Mutual
information (Mattes et al. 2003) finds the movement whatever the contrast phases are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import SimpleITK
from monai.data import MetaTensor
from scipy import ndimage

from renalseg.components import Box, Mask, bounding_box, grow_box
from renalseg.geometry import Array, spacing_of, to_index, to_world

MOST_MM, MOST_DEGREES = 40.0, 20.0  # that a kidney moves between two breaths
_STEP_MM = 2.0  # of the voxels that are compared
_RIM_MM = 8.0  # around the kidney, in which its outline shows
AROUND_MM = _RIM_MM + 2 * _STEP_MM  # of the fixed series that is looked at
_BREATH_MM = (-24.0, 24.0, 6.0)  # first shifts that are tried along the body
_HU = (-150.0, 350.0)
_BINS, _TRIED, _SAMPLED = 32, 0.15, 0.25  # of the histograms; shares of the voxels
_SEED = 1  # of the places of the samples; by default that is the time of day
_LEAST_SEEN = 0.98  # of the kidney that the other series must show


class Alignment(NamedTuple):
    """Where a kidney lies in another series.

    Attributes:
        matrix: (4, 4), from RAS mm in the series that was segmented to RAS mm in the other.
        shift_mm: How far its center moved.
        degrees: How far it turned.
    """

    matrix: Array
    shift_mm: float
    degrees: float


def align(fixed: MetaTensor, kidney: Mask, moving: MetaTensor) -> Alignment | None:
    """Finds the movement of a kidney.

    Args:
        fixed: HU (1, X, Y, Z) of the series that was segmented, affine in RAS mm with orthogonal
            axes.
        kidney: (X, Y, Z) on its grid, with its lesions; not empty.
        moving: HU of the other series, likewise, on any grid of the same frame of reference.

    Returns:
        None where the other series does not show the whole kidney, or where it would move farther
        than breathing moves one.
    """
    source, target = (np.asarray(each.affine, dtype=np.float64) for each in (fixed, moving))
    box = _around(kidney, source, AROUND_MM)
    near = _box_in(moving, to_world(source, _corners(box)))
    if near is None or _seen(kidney, source, moving) < _LEAST_SEEN:
        return None
    still = _part(fixed[0][box].numpy(), source, box)
    inside = _part(kidney[box].astype(np.float32), source, box)
    moved = _part(moving[0][near].numpy(), target, near)
    center = to_world(source, np.argwhere(kidney)).mean(axis=0)
    turn = _register(still, _rim(inside), moved, center)
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(turn.GetMatrix(), (3, 3))
    matrix[:3, 3] = np.array(turn.GetTranslation()) + center - matrix[:3, :3] @ center
    shift = float(np.linalg.norm(turn.GetTranslation()))
    cosine = (np.trace(matrix[:3, :3]) - 1) / 2
    degrees = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    if shift > MOST_MM or degrees > MOST_DEGREES:
        return None
    return Alignment(matrix, shift, degrees)


def carry(
    labels: npt.NDArray[np.uint8], affine: Array, alignment: Alignment, moving: MetaTensor
) -> npt.NDArray[np.uint8]:
    """Carries labels along with their kidney.

    Args:
        labels: (X, Y, Z) of that kidney alone, on the grid that was segmented; not empty.
        affine: Of that grid.
        alignment: Of the kidney.
        moving: The other series.

    Returns:
        Labels on the grid of the other series.
    """
    carried = np.zeros(moving.shape[1:], np.uint8)
    target = np.asarray(moving.affine, dtype=np.float64)
    part = _around(labels > 0, affine, 0.0)
    box = _box_in(moving, _moved(to_world(affine, _corners(part)), alignment), 0.0)
    if box is not None:
        back = np.linalg.inv(affine) @ np.linalg.inv(alignment.matrix) @ target
        start = back[:3, :3] @ [side.start for side in box] + back[:3, 3]
        shape = tuple(side.stop - side.start for side in box)
        ndimage.affine_transform(
            labels, back[:3, :3], start, shape, carried[box], order=0, mode="constant"
        )
    return carried


def _register(
    still: SimpleITK.Image, mask: SimpleITK.Image, moved: SimpleITK.Image, center: Array
) -> SimpleITK.Euler3DTransform:
    """The movement that lines up two images, from the best of some shifts along the body."""
    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricFixedMask(mask)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_TRIED, seed=_SEED)
    method.SetInterpolator(SimpleITK.sitkLinear)

    def value(shift: float) -> float:
        method.SetInitialTransform(_start(center, shift))
        return float(method.MetricEvaluate(still, moved))

    low, high, step = _BREATH_MM
    turn = _start(center, min(np.arange(low, high + step, step).tolist(), key=value))
    method.SetInitialTransform(turn, inPlace=True)
    method.SetMetricSamplingPercentage(_SAMPLED, seed=_SEED)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, 60, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2, 0])
    method.Execute(still, moved)
    return turn


def _start(center: Array, shift: float) -> SimpleITK.Euler3DTransform:
    turn = SimpleITK.Euler3DTransform()
    turn.SetCenter(center.tolist())
    turn.SetTranslation((0.0, 0.0, shift))
    return turn


def _part(values: npt.NDArray[np.float32], affine: Array, box: Box) -> SimpleITK.Image:
    """What a box (X, Y, Z) holds, on voxels of about 2 mm; physical space is RAS."""
    image = SimpleITK.GetImageFromArray(np.clip(values.transpose(2, 1, 0), *_HU))
    spacing = spacing_of(affine)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(to_world(affine, [side.start for side in box]).tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    factors = np.maximum(1, np.round(_STEP_MM / spacing)).astype(int).tolist()
    coarse: SimpleITK.Image = SimpleITK.BinShrink(image, factors)
    return coarse


def _rim(inside: SimpleITK.Image) -> SimpleITK.Image:
    """A mask of a kidney and of what lies around it."""
    away = SimpleITK.SignedMaurerDistanceMap(
        inside > 0.5, squaredDistance=False, useImageSpacing=True
    )
    near: SimpleITK.Image = away < _RIM_MM
    return near


def _around(mask: Mask, affine: Array, mm: float) -> Box:
    box = bounding_box(mask)
    if box is None:
        raise ValueError("expected a kidney, got an empty mask")
    return grow_box(box, mm / spacing_of(affine), mask.shape)


def _corners(box: Box) -> Array:
    """The corners (8, 3) of a box, as indices."""
    sides = [(side.start, side.stop - 1) for side in box]
    return np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3).astype(float)


def _moved(points: Array, alignment: Alignment) -> Array:
    return np.asarray(points @ alignment.matrix[:3, :3].T + alignment.matrix[:3, 3])


def _box_in(volume: MetaTensor, points: Array, mm: float = MOST_MM) -> Box | None:
    """The voxels around points (N, 3) in RAS mm; None where the volume holds none of these."""
    affine = np.asarray(volume.affine, dtype=np.float64)
    index, beside = to_index(affine, points), mm / spacing_of(affine)
    low = np.floor(index.min(axis=0) - beside).astype(int)
    high = np.ceil(index.max(axis=0) + beside).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, volume.shape[1:])
    if (high - low < 2).any():
        return None
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (x, y, z)


def _seen(kidney: Mask, affine: Array, volume: MetaTensor) -> float:
    """How much of a kidney lies within another volume, 0 to 1."""
    index = to_index(np.asarray(volume.affine, np.float64), to_world(affine, np.argwhere(kidney)))
    last: Sequence[int] = [size - 1 for size in volume.shape[1:]]
    return float(((index >= -0.5) & (index <= np.array(last) + 0.5)).all(axis=1).mean())
