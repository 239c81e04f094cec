"""Outlines of a mask as polygons, for objects that hold contours in place of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import numpy.typing as npt
from contourpy import FillType, contour_generator
from scipy.spatial import cKDTree

from renalseg.geometry import Array

Places = npt.NDArray[np.uint32]

_EDGE = 0.5  # between a pixel outside, 0, and one inside, 1
# Where along an edge a channel leaves an outline and enters a hole: at odd places, so that it meets
# no center of a pixel, which programs count as inside or outside as they like.
_DOORS = (0.43, 0.31)


def outlines(mask: npt.NDArray[np.bool_]) -> list[Array]:
    """Outlines each part of a plane by one polygon.

    The edges run halfway between the centers of pixels inside and outside, so the pixels whose
    centers a polygon encloses are those of the mask, and its area is theirs but for half a pixel.
    A hole is joined to the outline around it by a channel of no width, the keyhole of DICOM PS3.3,
    C.8.8.6.3, so a program that fills each polygon alone leaves holes empty, and so does one that
    counts crossings.

    Args:
        mask: (columns, rows).

    Returns:
        For each part, (N, 2) column and row of its corners, which are fractions; 0 is the center of
        the first pixel. The last corner is joined to the first.
    """
    padded = np.pad(mask, 1).T.astype(np.float64)  # contourpy has rows first
    generator = contour_generator(z=padded, name="serial", fill_type=FillType.OuterOffset)
    # by this type: the points of each part, and where its rings, which are closed, begin and end
    parts, marks = cast(tuple[list[Array], list[Places]], generator.filled(_EDGE, np.inf))
    rings = (
        [points[start : end - 1] for start, end in pairwise(places)]
        for points, places in zip(parts, marks, strict=True)
    )
    return [_joined(each) - 1 for each in rings]


def _joined(rings: Sequence[Array]) -> Array:
    """One ring from an outline and its holes, each entered where it is closest to the others."""
    outline, *holes = rings
    while holes:
        doors = _doors(outline, _DOORS[0])
        tree = cKDTree(doors)
        near = [tree.query(_doors(hole, _DOORS[1])) for hole in holes]
        nearest = int(np.argmin([distances.min() for distances, _ in near]))
        distances, places = near[nearest]
        enter = int(distances.argmin())
        leave = int(places[enter])
        hole = holes.pop(nearest)
        channel = np.stack([doors[leave], _doors(hole, _DOORS[1])[enter]])
        around = np.roll(hole, -enter - 1, axis=0)
        outline = np.concatenate(
            [outline[: leave + 1], channel, around, channel[::-1], outline[leave + 1 :]]
        )
    return outline


def _doors(ring: Array, share: float) -> Array:
    """A point (N, 2) on each edge of a ring (N, 2)."""
    return ring + share * (np.roll(ring, -1, axis=0) - ring)
