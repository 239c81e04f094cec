"""The hilum of an implanted kidney: renal artery, renal vein, pelvis and ureter.

Kidney labels end there, and a network that never saw renal vessels labels them kidney.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Generator, Tensor

from renalseg.components import bounding_box, largest_part
from renalseg.synthesis.fields import chance, uniform
from renalseg.synthesis.phantom_painter import Painter
from renalseg.synthesis.tissues import RENAL, Tissue

_CLOSING_MM = 10.0  # half the width of a sinus that the kidney encloses
_FREE = (Tissue.VISCERAL,)
Point = tuple[float, ...]


def paint_hilum(painter: Painter, side: int, generator: Generator) -> None:
    """Joins the kidney of one side to the aorta, the vena cava and the ureter.

    Args:
        painter: Holds the tissue map; x of its world grows to the patient's right.
        side: +1 right, -1 left.
        generator: Source of all randomness.
    """
    hilum = _find_hilum(painter, side)
    if hilum is None:
        return
    medial = (hilum[0] - side * uniform(generator, 8, 20), hilum[1] + 4, hilum[2])
    bend = tuple(m + uniform(generator, -5, 5) for m in medial)
    for vessel, radius in (
        (Tissue.VEIN, uniform(generator, 3.5, 7.5)),
        (Tissue.ARTERY, uniform(generator, 2.0, 3.5)),
    ):
        end = _nearest_center(painter, vessel, hilum, uniform(generator, -5, 15))
        if end is None:
            continue
        start = tuple(h + uniform(generator, -4, 4) for h in hilum)
        painter.tube(vessel, start, bend, radius * 0.8, rough=0.2, over=_FREE)
        painter.tube(vessel, bend, end, radius, rough=0.15, over=_FREE)
        for _ in range(int(uniform(generator, 1, 4))):  # branches into the sinus
            tip = (
                start[0] + side * uniform(generator, 2, 12),
                start[1] + uniform(generator, -8, 8),
                start[2] + uniform(generator, -20, 20),
            )
            painter.tube(vessel, start, tip, radius * 0.5, rough=0.3, over=_FREE)
    _paint_pelvis(painter, side, hilum, generator)


def _paint_pelvis(painter: Painter, side: int, hilum: Point, generator: Generator) -> None:
    """Paints the ureter, and the pelvis in the fat of the sinus, dilated if urine is obstructed."""
    wide = chance(generator, 0.15)
    size = uniform(generator, 9, 18) if wide else uniform(generator, 3, 8)
    center = (hilum[0] - side * uniform(generator, -2, 6), hilum[1] - 3, hilum[2] - 4)
    radii = (size * uniform(generator, 0.9, 1.6), size * 0.7, size * uniform(generator, 1.0, 1.6))
    painter.ellipsoid(Tissue.URETER, center, radii, rough=0.3, over=_FREE)
    radius = uniform(generator, 3, 6) if wide else uniform(generator, 1.5, 3)
    knee = (hilum[0] - side * 14, hilum[1] + 4, hilum[2] - uniform(generator, 30, 50))
    low = (knee[0] - side * 8, knee[1] + 15, knee[2] - 160)
    painter.tube(Tissue.URETER, center, knee, radius, rough=0.2, over=_FREE)
    painter.tube(Tissue.URETER, knee, low, radius, rough=0.2, over=_FREE)


def _find_hilum(painter: Painter, side: int) -> Point | None:
    """Finds the middle of the hollow on the medial side of a kidney, in mm."""
    tissue, mm = painter.tissue, painter.spacing[0]
    half = tissue.shape[0] // 2
    own = slice(half, None) if side > 0 else slice(0, half)
    renal = torch.isin(tissue[own], torch.tensor(RENAL, dtype=tissue.dtype)).numpy()
    largest = largest_part(renal)
    box = None if largest is None else bounding_box(largest)
    if largest is None or box is None:
        return None
    kidney = np.pad(largest[box], grow := int(_CLOSING_MM / mm) + 1)
    outside = ndimage.distance_transform_edt(~kidney, sampling=mm)
    closed = ndimage.distance_transform_edt(outside < _CLOSING_MM, sampling=mm) >= _CLOSING_MM
    corner = np.array([part.start for part in box]) - grow + [own.start, 0, 0]
    hollow = np.argwhere(closed & ~kidney)
    voxels = np.argwhere(kidney)
    middle = voxels.mean(axis=0)
    medial = hollow[(hollow[:, 0] - middle[0]) * side < 0]
    point = medial.mean(axis=0) if len(medial) > 50 else _medial_face(voxels, middle, side)
    return _world(painter, point + corner)


def _medial_face(voxels: np.ndarray, middle: np.ndarray, side: int) -> np.ndarray:
    central = voxels[np.abs(voxels[:, 2] - middle[2]) < 4]
    central = central if len(central) else voxels
    return np.asarray(central[np.argmin(central[:, 0] * side)], dtype=float)


def _nearest_center(
    painter: Painter, vessel: Tissue, start: Sequence[float], rise_mm: float
) -> Point | None:
    """Where the aorta or vena cava crosses the slice `rise_mm` above a point, in mm."""
    slices = painter.tissue.shape[2]
    z = round(start[2] / painter.spacing[2] + (slices - 1) / 2 + rise_mm / painter.spacing[2])
    if not 0 <= z < slices:
        return None
    section: Tensor = painter.tissue[:, :, z] == vessel
    largest = largest_part(section.numpy())
    if largest is None:
        return None
    x, y = np.argwhere(largest).mean(axis=0)
    return _world(painter, np.array([x, y, z]))


def _world(painter: Painter, voxel: np.ndarray) -> Point:
    center = (np.array(painter.tissue.shape) - 1) / 2
    return tuple(float(v) for v in (voxel - center) * painter.spacing)
