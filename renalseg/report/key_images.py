"""The key images of a lesion: three planes through its longest diameters, drawn with their mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from renalseg.components import bounding_box
from renalseg.findings.measurements import Diameter, longest_in_slice
from renalseg.geometry import Array
from renalseg.intake.ct import CT
from renalseg.labels import MeasuredSegment, bounded
from renalseg.report.content import Picture
from renalseg.report.panels import caption, scale_bar
from renalseg.report.view import EDGE, PLANES, Cut, Plane, View, write

_LEAST_MM, _AROUND_MM = 110.0, 25.0  # side of a picture, and what it shows around the lesion
ABOUT_TICKS = (
    "Pictures of a lesion lie where its diameter within the plane is longest; yellow ticks at the "
    "edges show where the other two planes cut."
)
_INK, _TICKS = "#ffffff", "#ffe14d"
_CAP_MM = 2.5  # half of the line across the end of a diameter
_TICK_MM = 4.0


@dataclass(frozen=True)
class _Lesion:
    """A lesion in a view.

    Attributes:
        segment: Itself.
        center: mm (3,) in the view.
        side: Of its pictures, in mm.
        diameters: The longest within each plane.
    """

    segment: MeasuredSegment
    center: Array
    side: float
    diameters: dict[Plane, Diameter]


def key_images(
    view: View, ct: CT, segments: Sequence[MeasuredSegment], lesion: MeasuredSegment
) -> tuple[Picture, ...]:
    """Gives an axial, a coronal and a sagittal picture of a lesion at one scale.

    Args:
        view: CT and segments.
        ct: Names the slices.
        segments: All segments, whose outlines are drawn.
        lesion: In the middle of each picture.
    """
    own = _measure(view, lesion)
    pictures = []
    for plane in PLANES:
        cut = Cut(plane, own.diameters[plane].level, ())
        size = (min(own.side, view.extent[plane.across]), min(own.side, view.extent[plane.up]))
        draw = partial(_draw, view, segments, own, plane, size)
        pictures.append(Picture(caption(view, cut, ct), size, draw))
    return tuple(pictures)


def _measure(view: View, lesion: MeasuredSegment) -> _Lesion:
    mask = view.numbers == lesion.number
    box = bounding_box(mask)
    assert box is not None  # each segment is in the map
    start = np.array([part.start for part in box])
    low, high = start * view.spacing, np.array([part.stop for part in box]) * view.spacing
    diameters = {}
    for plane in PLANES:
        found = longest_in_slice(mask[box], view.spacing, plane.cut)
        axes = [axis for axis in range(3) if axis != plane.cut]
        diameters[plane] = found._replace(
            level=found.level + int(start[plane.cut]), ends=found.ends + start[axes]
        )
    side = max(_LEAST_MM, float((high - low).max()) + 2 * _AROUND_MM)
    return _Lesion(lesion, (low + high) / 2, side, diameters)


def _draw(
    view: View,
    segments: Sequence[MeasuredSegment],
    lesion: _Lesion,
    plane: Plane,
    size: tuple[float, float],
    axes: Axes,
) -> None:
    """Draws a plane, the lesion's diameter in it, and where the other planes lie."""
    view.draw(axes, Cut(plane, lesion.diameters[plane].level, ()), segments)
    sides = [
        _window(lesion.center[axis], wide, view.extent[axis])
        for axis, wide in zip((plane.across, plane.up), size, strict=True)
    ]
    (left, right), (low, high) = sides
    axes.set_xlim((right, left) if plane.across == 0 else (left, right))
    axes.set_ylim(low, high)
    _ticks(axes, view, lesion, plane, sides)
    _diameter(axes, view, lesion, plane)
    scale_bar(axes)


def _window(center: float, wide: float, extent: float) -> tuple[float, float]:
    """A part of an axis around a place that does not leave what there is."""
    start = float(np.clip(center - wide / 2, 0, extent - wide))
    return start, start + wide


def _diameter(axes: Axes, view: View, lesion: _Lesion, plane: Plane) -> None:
    found = lesion.diameters[plane]
    ends = (found.ends + 0.5) * view.spacing[[plane.across, plane.up]]
    along = ends[1] - ends[0]
    length = float(np.linalg.norm(along))
    if not length:
        return
    cap = np.array([-along[1], along[0]]) / length * _CAP_MM
    for one, other in ((ends[0], ends[1]), *((end - cap, end + cap) for end in ends)):
        axes.plot(*np.transpose([one, other]), color=_INK, lw=0.8, path_effects=EDGE)
    above = ends[ends[:, 1].argmax()]
    text = bounded(f"{found.length_mm:.0f} mm", lesion.segment.lower_bound)
    x, y = above + np.array([0, 1.5 * _CAP_MM])
    write(axes, (x, y), text, ha="center", va="bottom")


def _ticks(
    axes: Axes, view: View, lesion: _Lesion, plane: Plane, sides: Sequence[tuple[float, float]]
) -> None:
    """Short lines at the edges of a picture, where the two other planes cut it."""
    for other in PLANES:
        if other == plane:
            continue
        at = (lesion.diameters[other].level + 0.5) * float(view.spacing[other.cut])
        upright = other.cut == plane.across
        low, high = sides[1] if upright else sides[0]
        for start, end in ((low, low + _TICK_MM), (high - _TICK_MM, high)):
            line: npt.NDArray[np.float64] = np.array([[at, at], [start, end]])
            axes.plot(*(line if upright else line[::-1]), color=_TICKS, lw=1.0)
