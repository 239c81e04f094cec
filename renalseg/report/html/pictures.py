"""The still pictures of a page: planes that show both kidneys and every tumor."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from renalseg.intake.ct import CT
from renalseg.labels import Segment
from renalseg.report.panels import Panel, caption
from renalseg.report.text import defaults
from renalseg.report.view import AXIAL, CORONAL, SAGITTAL, View, look

_PIXELS_PER_MM = 2.0
_DPI = 160  # how large letters and lines are
_MOST = {AXIAL: 7, CORONAL: 2, SAGITTAL: 1}


@dataclass(frozen=True)
class Picture:
    """A picture and what it shows.

    Attributes:
        caption: For people.
        png: The file.
        width: In pixels.
        height: In pixels.
    """

    caption: str
    png: bytes
    width: int
    height: int


def draw_pictures(
    ct: CT, segmented: npt.NDArray[np.uint8], segments: Sequence[Segment]
) -> Iterator[Picture]:
    """Draws axial planes through kidneys and tumors, coronal ones, and a sagittal one.

    Args:
        ct: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        segments: The segments; beyond what seven planes show, tumors get no picture of their own.
    """
    view = look(ct.image, segmented)
    with defaults():
        for plane, most in _MOST.items():
            for cut in view.cuts(plane, segments, most):
                yield _draw(view, Panel(cut, caption(view, cut, ct)), segments)


def _draw(view: View, panel: Panel, segments: Sequence[Segment]) -> Picture:
    width, height = (round(size * _PIXELS_PER_MM) for size in view.size(panel.cut.plane))
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    view.draw(figure.add_axes((0, 0, 1, 1)), panel.cut, segments)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return Picture(panel.caption, file.getvalue(), width, height)
