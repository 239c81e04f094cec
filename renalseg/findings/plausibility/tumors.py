"""Checks whether a region called tumor is the kidney itself, or scattered."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull

from renalseg.components import Mask
from renalseg.findings.plausibility.scene import Scene, depth_in
from renalseg.geometry import Array
from renalseg.labels import ContrastPhase
from renalseg.limits import TumorLimits

_BINS = np.arange(-110, 411, 10.0)  # HU
_IN_PLANE = np.zeros((3, 3, 3), dtype=bool)
_IN_PLANE[:, :, 1] = True


class Region(NamedTuple):
    """A region that was called tumor, with the sides of the body.

    Attributes:
        mask: The region, (X, Y, Z).
        own: Kidney tissue and tumors of its side.
        other: The same of the other side; empty if there is none.
    """

    mask: Mask
    own: Mask
    other: Mask


def why_kidney(
    region: Region, scene: Scene, phase: ContrastPhase, limits: TumorLimits
) -> str | None:
    """Says why a region is not reported as a tumor; None if it is.

    Args:
        region: Called tumor.
        scene: What was found.
        phase: Of the scan.
        limits: Of the method.
    """
    if phase not in limits.phases:
        return f"in the {phase.value} phase, in which the method was never measured on tumors"
    own, other = region.own.sum(), region.other.sum()
    enlarged = own > (limits.enlarged * other if other else limits.single_ml / scene.voxel_ml)
    left = (region.own & (scene.tumors == 0)).sum() / own
    if left < limits.least_kidney and not enlarged:
        return f"but leaves only {left:.0%} of a kidney that is not enlarged"
    large = region.mask.sum() >= limits.large_share * own
    if large and not enlarged and _overlap(region, scene) > limits.overlap:
        return "but looks like the other kidney"
    if thickness(region.mask, scene.spacing) < limits.thickness:
        return "but is thinner than any tumor: a layer of another organ, or a rim"
    return None


def reasons_for_review(
    region: Region, scene: Scene, phase: ContrastPhase, limits: TumorLimits
) -> list[str]:
    """Lists what a person should check in a reported tumor."""
    said = []
    if phase not in limits.measured:
        said.append(f"is in the {phase.value} phase, in which the method was never measured")
    most = most_islands(region.mask, scene.spacing, limits.island_mm2)
    if most > limits.islands:
        said.append(f"is scattered: {most} islands in one slice")
    filled = solidity(region.mask, scene.spacing)
    if filled < limits.solidity:
        said.append(f"is in fragments: it fills only {filled:.0%} of its hull")
    if _overlap(region, scene) > limits.overlap:
        said.append("has the densities of the other kidney")
    return said


def most_islands(mask: Mask, spacing: npt.ArrayLike, island_mm2: float) -> int:
    """The largest number of islands of a mask (X, Y, Z) in one plane across z.

    Args:
        mask: A region.
        spacing: Mm along x, y and z.
        island_mm2: Area from which an island counts.
    """
    numbered, count = ndimage.label(mask, structure=_IN_PLANE)
    if not count:
        return 0
    boxes = ndimage.find_objects(numbered)
    sizes = np.bincount(numbered.ravel())[1:] * float(np.prod(np.asarray(spacing)[:2]))
    planes = [box[2].start for box, mm2 in zip(boxes, sizes, strict=True) if mm2 >= island_mm2]
    return int(np.bincount(planes).max()) if planes else 0


def solidity(mask: Mask, spacing: npt.ArrayLike) -> float:
    """Share of its convex hull that a mask (X, Y, Z) fills, from 0 to 1; whole voxels count.

    Args:
        mask: A region of one voxel or more.
        spacing: Mm along x, y and z.
    """
    padded = np.pad(mask, 1)
    surface = np.argwhere(padded & ~ndimage.binary_erosion(padded))
    corners = np.concatenate([surface + corner for corner in np.ndindex(2, 2, 2)])
    step = np.asarray(spacing, dtype=np.float64)
    return float(mask.sum() * step.prod() / ConvexHull(corners * step).volume)


def thickness(mask: Mask, spacing: Array) -> float:
    """Radius of the largest ball in a mask (X, Y, Z), over that of a ball of its volume.

    Args:
        mask: A region of one voxel or more.
        spacing: Mm along x, y and z.
    """
    ball = np.cbrt(0.75 / np.pi * mask.sum() * spacing.prod())
    return float(depth_in(mask, spacing).max() / ball)


def _overlap(region: Region, scene: Scene) -> float:
    """The share that the histograms of a region and of the other kidney have in common."""
    if not region.other.any():
        return 0.0
    shares = []
    for mask in (region.mask, region.other):
        values = np.clip(scene.hu[mask], _BINS[0], _BINS[-1] - 1)
        shares.append(np.histogram(values, _BINS)[0] / len(values))
    return float(np.minimum(*shares).sum())
