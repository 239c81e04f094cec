"""The still pictures of a page: three planes through what matters most, and each further tumor."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from monai.data import MetaTensor

from renalseg.labels import TUMOR, Segment
from renalseg.report.view import AXIAL, CORONAL, SAGITTAL, Plane, View, look

_PIXELS_PER_MM = 2.0
_DPI = 160  # how large letters and lines are
_MOST_TUMORS = 6


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
    image: MetaTensor, segmented: npt.NDArray[np.uint8], segments: Sequence[Segment]
) -> Iterator[Picture]:
    """Draws three planes through the largest tumor or kidney, and an axial one through each tumor.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm.
        segmented: Segment numbers (X, Y, Z).
        segments: The segments; beyond the six largest, tumors get no picture of their own.
    """
    tumors = sorted(
        (segment for segment in segments if segment.kind == TUMOR), key=lambda s: -s.volume_ml
    )
    largest = tumors[0] if tumors else max(segments, key=lambda s: s.volume_ml, default=None)
    through = f" through {_name(largest)}" if largest else ""
    view = look(image, segmented, segments)
    for plane in (AXIAL, CORONAL, SAGITTAL):
        yield _draw(view, plane, segments, f"{plane.name.capitalize()}{through}")
    for tumor in tumors[1:_MOST_TUMORS]:
        own = look(image, segmented, [tumor])
        yield _draw(own, AXIAL, segments, f"Axial through {_name(tumor)}")


def _name(segment: Segment) -> str:
    return f"the {segment.label[0].lower()}{segment.label[1:]}"


def _draw(view: View, plane: Plane, segments: Sequence[Segment], caption: str) -> Picture:
    width, height = (
        round(float(view.extent[axis]) * _PIXELS_PER_MM) for axis in (plane.across, plane.up)
    )
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    view.draw(figure.add_axes((0, 0, 1, 1)), plane, segments)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return Picture(caption, file.getvalue(), width, height)
