"""Where a tumor lies in its kidney: distances and shares, in mm and percent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from renalseg.components import Mask
from renalseg.findings.nephrometry.frame import STEP, Frame
from renalseg.findings.nephrometry.sinus import Sinus
from renalseg.geometry import Array

_MOSTLY = 2 / 3  # of a tumor: less in front or behind is neither


@dataclass(frozen=True)
class Place:
    """Where a tumor lies; distances run between voxel centers, in mm.

    Attributes:
        sinus: To the sinus.
        nearest: (2, 3) mm in the frame: its voxel that is nearest to the sinus, and that of the
            sinus.
        mouth: To the opening of the sinus; infinite where it has none.
        between: Percent of it between the polar lines.
        polar: How far it reaches across the nearer polar line; below 0: how far it stays away.
        crosses_middle: Whether it crosses the plane halfway between the polar lines.
        face: Of its center in front of the plane through the long axis and the sinus.
        side: "a" or "p" if most of it lies in front of or behind that plane, else "x".
        rim: Of its center from the middle of the kidney toward the sinus.
        center: Of its center from the center of the kidney.
    """

    sinus: float
    nearest: Array
    mouth: float
    between: float
    polar: float
    crosses_middle: bool
    face: float
    side: str
    rim: float
    center: float


def locate(frame: Frame, sinus: Sinus, voxels: Array) -> Place:
    """Measure where a tumor lies.

    Args:
        frame: Of its kidney.
        sinus: Of its kidney.
        voxels: The centers (N, 3) of its voxels in RAS mm.
    """
    places = frame.place(voxels)
    heights = places[:, 2]
    low, high = sinus.lines
    between = 100 * float(((heights >= low) & (heights <= high)).mean())
    above = heights.mean() > sinus.middle
    polar = float(high - heights.min() if above else heights.max() - low)
    offset = places - sinus.center
    front = np.array([-sinus.toward[1], sinus.toward[0]])
    ahead = offset[:, :2] @ front
    share = float((ahead > 0).mean())
    distance, nearest = _nearest(places, sinus.mask)
    mouth = _nearest(places, sinus.mouth)[0] if sinus.mouth.any() else float("inf")
    return Place(
        sinus=round(distance, 1),
        nearest=nearest,
        mouth=round(mouth, 1),
        between=round(between, 1),
        polar=round(polar, 1),
        crosses_middle=bool(heights.min() < sinus.middle < heights.max()),
        face=round(float(ahead.mean()), 1),
        side="a" if share > _MOSTLY else "p" if share < 1 - _MOSTLY else "x",
        rim=round(float(offset[:, :2].mean(axis=0) @ sinus.toward), 1),
        center=round(float(np.linalg.norm(offset.mean(axis=0))), 1),
    )


def _nearest(places: Array, mask: Mask) -> tuple[float, Array]:
    """The distance of places (N, 3) from a mask of the frame, and the two nearest points (2, 3)."""
    surface = mask & ~ndimage.binary_erosion(mask)
    targets = np.argwhere(surface) * STEP
    distances, indices = cKDTree(targets).query(places)
    first = int(distances.argmin())
    return float(distances[first]), np.stack([places[first], targets[indices[first]]])
