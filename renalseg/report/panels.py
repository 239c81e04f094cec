"""The pictures of a sheet: choice of planes, captions and layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from renalseg.intake.ct import CT
from renalseg.labels import Segment
from renalseg.report.content import Picture
from renalseg.report.images import image_names, slice_levels
from renalseg.report.sheet import Sheet
from renalseg.report.text import leading, width_of, wrap
from renalseg.report.view import AXIAL, CORONAL, EDGE, SAGITTAL, WINDOW, Cut, Plane, View, write

_GAP = 3.0  # mm
_MOST = {AXIAL: 4, CORONAL: 2, SAGITTAL: 2}
_CAPTION_LINES = 2
_NARROW = 40.0  # mm, which any picture is wide
_NAMED = 2  # segments that a caption lists


class Style(NamedTuple):
    """How captions look.

    Attributes:
        size: In points.
        color: Of the letters.
    """

    size: float
    color: str


def choose_panels(
    view: View,
    segments: Sequence[Segment],
    planes: Sequence[Plane],
    ct: CT | None = None,
) -> list[Picture]:
    """Chooses planes that show both kidneys and the tumors, and says what each shows.

    Args:
        view: The volume.
        segments: What was found.
        planes: The directions, in the order of the pictures.
        ct: Names the slices; without it captions have no numbers.
    """
    cuts = [cut for plane in planes for cut in view.cuts(plane, segments, _MOST[plane])]
    return [plane_picture(view, cut, segments, ct) for cut in cuts]


def plane_picture(
    view: View, cut: Cut, segments: Sequence[Segment], ct: CT | None = None
) -> Picture:
    """Gives the picture of a plane with the outlines of segments and a scale bar.

    Args:
        view: The volume.
        cut: The plane.
        segments: Whose outlines are drawn.
        ct: Names the slice; without it the caption has no number.
    """

    def draw(axes: Axes) -> None:
        view.draw(axes, cut, segments)
        scale_bar(axes)

    return Picture(caption(view, cut, ct), view.size(cut.plane), draw)


def caption(view: View, cut: Cut, ct: CT | None = None) -> str:
    """Names a plane, its number where it is a source slice, and what it was chosen for."""
    where = cut.plane.name.capitalize()
    axis, index = view.index(cut)
    if ct is not None and axis == 2:
        nearest = int(np.abs(slice_levels(ct) - index).argmin())
        where += f", image {image_names(ct)[nearest]}"
    names = [segment.label[0].lower() + segment.label[1:] for segment in cut.shows[:_NAMED]]
    return f"{where}: {', '.join(names)}" if names else where


def about_window() -> str:
    """Says how gray values are to be read, and which side is which."""
    low, high = WINDOW
    return (
        f"Window center {(low + high) / 2:.0f}, width {high - low:.0f} HU. The patient's right is "
        "on the left of axial and coronal planes."
    )


@dataclass(frozen=True)
class Panels:
    """Pictures at one scale in rows, as large as a room takes them.

    Attributes:
        pictures: Themselves.
        width: Of the room, in mm.
        height: Of the room, in mm.
        style: Of the captions.
    """

    pictures: Sequence[Picture]
    width: float
    height: float
    style: Style

    @cached_property
    def _rows(self) -> tuple[float, list[list[Picture]]]:
        """The largest scale at which the pictures fit, and their rows."""
        best: tuple[float, list[list[Picture]]] = (0.0, [])
        for ends in product((False, True), repeat=len(self.pictures) - 1):
            rows = [[self.pictures[0]]]
            for end, picture in zip(ends, self.pictures[1:], strict=True):
                if end:
                    rows.append([])
                rows[-1].append(picture)
            scale = min(
                (self.height - self._below * len(rows)) / sum(map(self._tallest, rows)),
                *((self.width - _GAP * (len(row) - 1)) / self._widths(row) for row in rows),
            )
            best = max(best, (scale, rows), key=lambda each: each[0])
        return best

    @property
    def used(self) -> float:
        """The height that is used, with captions, in mm."""
        scale, rows = self._rows
        return sum(scale * self._tallest(row) + self._below for row in rows)

    def draw(self, sheet: Sheet, left: float, top: float) -> float:
        """Draws them; gives the lower edge of the last caption, in mm."""
        scale, rows = self._rows
        size, color = self.style
        y = top
        for row in rows:
            x = left + (self.width - scale * self._widths(row) - _GAP * (len(row) - 1)) / 2
            foot = y + scale * self._tallest(row)
            for picture in row:
                wide, high = (scale * side for side in picture.size)
                sheet.draw(picture.draw, x, foot - high, wide, high)
                lines = wrap(picture.caption, wide, size)
                if len(lines) > _CAPTION_LINES:
                    lines = [*lines[: _CAPTION_LINES - 1], lines[_CAPTION_LINES - 1] + " …"]
                sheet.lines(x, foot + leading(size), lines, size, color=color)
                x += wide + _GAP
            y = foot + self._below
        return y

    @cached_property
    def _below(self) -> float:
        longest = max(width_of(picture.caption, self.style.size) for picture in self.pictures)
        lines = 1 if longest < _NARROW else _CAPTION_LINES
        return lines * leading(self.style.size) + 2.5

    def _tallest(self, row: Sequence[Picture]) -> float:
        return max(picture.size[1] for picture in row)

    def _widths(self, row: Sequence[Picture]) -> float:
        return sum(picture.size[0] for picture in row)


def scale_bar(axes: Axes) -> None:
    """Draws five centimeters in the lower left corner of a picture whose axes are in mm."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    x, y = left + 0.03 * (right - left), low + 0.03 * (high - low)
    end = x + (50 if right > left else -50)
    axes.plot([x, end], [y, y], color="white", lw=1.5, solid_capstyle="butt", path_effects=EDGE)
    write(axes, (x, y + 0.015 * (high - low)), "5 cm", size=6.5, weight="normal")
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
