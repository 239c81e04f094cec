"""The pictures of a comparison: a lesion at both times, in one plane that moves with its kidney."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from scipy import ndimage

from renalseg.findings.followup.compare import Found
from renalseg.findings.followup.match import TimePoint
from renalseg.findings.measurements import diameter_ends
from renalseg.geometry import Array, to_index, to_world
from renalseg.labels import MeasuredSegment, Side
from renalseg.report.content import Picture
from renalseg.report.view import WINDOW, color_of, outline

_GRID_MM = 0.6
_LEAST_MM = 45.0  # from the middle of a picture to its edge
_MOST = 8  # lesions that have pictures
_STEEP = 0.75  # of a diameter's direction along the body: from there on the plane is upright
_DIAMETER = "#ffffff"


class Plane(NamedTuple):
    """A plane in the patient, in RAS mm.

    Attributes:
        center: (3,) its middle.
        right: (3,) unit vector to the right of the picture.
        up: (3,) unit vector upward.
        half: From the middle to the edges, in mm.
    """

    center: Array
    right: Array
    up: Array
    half: float

    def points(self) -> Array:
        """Points (N, N, 3) of the picture: across, up."""
        steps = np.arange(-self.half, self.half, _GRID_MM)
        across, up = steps[:, None, None] * self.right, steps[None, :, None] * self.up
        return np.asarray(self.center + across + up)

    def moved(self, matrix: Array) -> Plane:
        """The same plane where a kidney lies at another time."""
        turn = matrix[:3, :3]
        return Plane(to_world(matrix, self.center), turn @ self.right, turn @ self.up, self.half)

    @property
    def letters(self) -> tuple[str, str]:
        """The sides of the patient at the left and the right of the picture."""
        axis = int(np.argmax(np.abs(self.right)))
        pair = ("LR", "PA", "IS")[axis]
        return (pair[0], pair[1]) if self.right[axis] > 0 else (pair[1], pair[0])


def plane_through(ends: Array, half: float) -> Plane:
    """The plane that holds a diameter and is as near to an axial one as it can be.

    Where the diameter runs along the body, it is as near to a coronal one. As on all planes, the
    patient's right is on the left.

    Args:
        ends: (2, 3) of the diameter, in RAS mm.
        half: From the middle to the edges, in mm.
    """
    along = ends[1] - ends[0]
    length = float(np.linalg.norm(along))
    along = along / length if length else np.array([1.0, 0.0, 0.0])
    upright = abs(along[2]) > _STEEP
    normal = np.array([0.0, 1.0, 0.0] if upright else [0.0, 0.0, 1.0])
    normal = normal - (normal @ along) * along
    normal /= np.linalg.norm(normal)
    right = np.array([-1.0, 0.0, 0.0])
    right = right - (right @ normal) * normal
    right /= np.linalg.norm(right)
    up = np.cross(normal, right)
    return Plane(ends.mean(axis=0), right, up if up[2 if upright else 1] > 0 else -up, half)


def lesion_pairs(
    found: Found, prior: TimePoint, now: TimePoint, names: tuple[str, str]
) -> Iterator[tuple[Picture, Picture]]:
    """Draws each lesion that was compared, earlier and now; the largest first.

    Args:
        found: What changed.
        prior: The earlier study.
        now: The later study.
        names: What captions call both, such as their dates.
    """
    times = (prior.near(), now.near())
    images = [time.painted() if time.image is None else time.image for time in times]
    hu = [image[0].numpy() for image in images]
    for label, numbers, side in _chosen(found)[:_MOST]:
        shown = 1 if numbers[1] else 0  # the plane is that of the lesion now, if it is there
        matrix = found.moves[side].alignment.matrix
        time, number = times[shown], numbers[shown]
        ends = diameter_ends(time.segmented == number, time.affine)
        half = max(_LEAST_MM, 0.8 * float(np.linalg.norm(ends[1] - ends[0])))
        plane = plane_through(ends, half)
        planes = (
            plane.moved(matrix) if shown else plane,
            plane if shown else plane.moved(np.asarray(np.linalg.inv(matrix), np.float64)),
        )
        before, after = (
            _draw(
                times[when],
                hu[when],
                planes[when],
                ends if when == shown else None,
                f"{names[when]}: {_caption(times[when].segments, numbers[when], label)}",
            )
            for when in (0, 1)
        )
        yield before, after


def _chosen(found: Found) -> list[tuple[str, tuple[int, int], Side]]:
    """Name, numbers earlier and now (0 for none), and side of each lesion that has a picture."""
    comparison = found.comparison
    listed = [
        *(
            (each.volume_ml.now, each.label, (each.prior_number, each.number), each.side)
            for each in comparison.lesions
        ),
        *((each.volume_ml, each.label, (0, each.number), each.side) for each in comparison.new),
        *((each.volume_ml, each.label, (each.number, 0), each.side) for each in comparison.gone),
    ]
    largest_first = sorted(listed, key=lambda each: -each[0])
    return [(label, numbers, side) for _, label, numbers, side in largest_first]


def _caption(segments: Sequence[MeasuredSegment], number: int, label: str) -> str:
    own = next((segment for segment in segments if segment.number == number), None)
    if own is None:
        return f"nothing found in the place of {label[0].lower()}{label[1:]}"
    return f"{own.label}, {own.longest_mm:.0f} mm, {own.volume_ml:.1f} ml"


def _draw(time: TimePoint, hu: Array, plane: Plane, ends: Array | None, caption: str) -> Picture:
    points = plane.points()
    index = np.moveaxis(to_index(time.affine, points), -1, 0)
    shown = ndimage.map_coordinates(hu, index, order=1, cval=WINDOW[0])
    labels = ndimage.map_coordinates(time.segmented, index, order=0)
    size = len(points) * _GRID_MM

    def draw(axes: Axes) -> None:
        low, high = WINDOW
        extent = (0, size, 0, size)
        axes.imshow(shown.T, cmap="gray", vmin=low, vmax=high, origin="lower", extent=extent)
        for segment in time.segments:
            spacing = np.array([_GRID_MM, _GRID_MM])
            outline(axes, labels == segment.number, color_of(segment), spacing)
        if ends is not None:
            across, up = (
                (ends - plane.center) @ axis + plane.half for axis in (plane.right, plane.up)
            )
            axes.plot(across, up, color=_DIAMETER, linewidth=1.2, linestyle=(0, (4, 2)))
        for x, letter, side in zip((0.015, 0.985), plane.letters, ("left", "right"), strict=True):
            text = axes.text(x, 0.5, letter, color="white", size=9, weight="bold", ha=side)
            text.set_transform(axes.transAxes)
        axes.set_xlim(0, size)
        axes.set_ylim(0, size)
        axes.set_axis_off()

    return Picture(caption, (size, size), draw)
