"""The still pictures of a page: planes that show both kidneys and every tumor."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from renalseg.intake.ct import CT
from renalseg.labels import Segment
from renalseg.report.html.nephrometry import nephrometry_planes
from renalseg.report.panels import caption
from renalseg.report.text import defaults
from renalseg.report.view import AXIAL, CORONAL, SAGITTAL, look

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
        segments: The segments; beyond what seven planes show, tumors get no picture of their own
            but that of their nephrometry.
    """
    view = look(ct.image, segmented)
    with defaults():
        for plane, most in _MOST.items():
            for cut in view.cuts(plane, segments, most):
                draw = partial(view.draw, cut=cut, segments=segments)
                yield draw_picture(draw, view.size(cut.plane), caption(view, cut, ct))
        for scored in nephrometry_planes(ct, segmented, segments):
            yield draw_picture(scored.draw, scored.size, scored.caption)


def draw_picture(
    draw: Callable[[Axes], None],
    size: tuple[float, float],
    caption: str,
    pixels_per_mm: float = _PIXELS_PER_MM,
) -> Picture:
    """Draws on axes of a size in mm."""
    width, height = (round(side * pixels_per_mm) for side in size)
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    draw(figure.add_axes((0, 0, 1, 1)))
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return Picture(caption, file.getvalue(), width, height)
