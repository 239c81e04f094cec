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
from renalseg.report.images import image_names, slice_levels
from renalseg.report.sheet import Sheet
from renalseg.report.text import leading, wrap
from renalseg.report.view import AXIAL, CORONAL, SAGITTAL, WINDOW, Cut, Plane, View

_GAP = 3.0  # mm
_MOST = {AXIAL: 4, CORONAL: 2, SAGITTAL: 2}
_CAPTION_LINES = 2
_NAMED = 2  # segments that a caption lists


class Panel(NamedTuple):
    """A picture of a sheet.

    Attributes:
        cut: What it shows.
        caption: What it says below.
    """

    cut: Cut
    caption: str


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
) -> list[Panel]:
    """Chooses planes that show both kidneys and the tumors, and says what each shows.

    Args:
        view: The volume.
        segments: What was found.
        planes: The directions, in the order of the pictures.
        ct: Names the slices; without it captions have no numbers.
    """
    cuts = [cut for plane in planes for cut in view.cuts(plane, segments, _MOST[plane])]
    return [Panel(cut, caption(view, cut, ct)) for cut in cuts]


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
        view: The volume.
        panels: The pictures.
        width: Of the room, in mm.
        height: Of the room, in mm.
        style: Of the captions.
    """

    view: View
    panels: Sequence[Panel]
    width: float
    height: float
    style: Style

    @cached_property
    def _rows(self) -> tuple[float, list[list[Panel]]]:
        """The largest scale at which the pictures fit, and their rows."""
        best: tuple[float, list[list[Panel]]] = (0.0, [])
        for ends in product((False, True), repeat=len(self.panels) - 1):
            rows = [[self.panels[0]]]
            for end, panel in zip(ends, self.panels[1:], strict=True):
                if end:
                    rows.append([])
                rows[-1].append(panel)
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

    def draw(self, sheet: Sheet, left: float, top: float, segments: Sequence[Segment]) -> float:
        """Draws them; gives the lower edge of the last caption, in mm."""
        scale, rows = self._rows
        size, color = self.style
        y = top
        for row in rows:
            x = left + (self.width - scale * self._widths(row) - _GAP * (len(row) - 1)) / 2
            foot = y + scale * self._tallest(row)
            for panel in row:
                wide, high = (scale * side for side in self.view.size(panel.cut.plane))
                axes = sheet.picture(x, foot - high, wide, high)
                self.view.draw(axes, panel.cut, segments)
                _scale_bar(axes, scale)
                lines = wrap(panel.caption, wide, size)
                if len(lines) > _CAPTION_LINES:
                    lines = [*lines[: _CAPTION_LINES - 1], lines[_CAPTION_LINES - 1] + " …"]
                sheet.lines(x, foot + leading(size), lines, size, color=color)
                x += wide + _GAP
            y = foot + self._below
        return y

    @property
    def _below(self) -> float:
        return _CAPTION_LINES * leading(self.style.size) + 2.5

    def _tallest(self, row: Sequence[Panel]) -> float:
        return max(self.view.size(panel.cut.plane)[1] for panel in row)

    def _widths(self, row: Sequence[Panel]) -> float:
        return sum(self.view.size(panel.cut.plane)[0] for panel in row)


def _scale_bar(axes: Axes, scale: float) -> None:
    """Five centimeters, in the lower left corner of a picture whose axes are in mm."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    toward = 1 if right > left else -1
    x, y = left + toward * 2 / scale, low + 2 / scale
    axes.plot([x, x + toward * 50], [y, y], color="white", lw=1.5, solid_capstyle="butt")
    axes.text(x, y + 1 / scale, "5 cm", color="white", size=6.5)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
