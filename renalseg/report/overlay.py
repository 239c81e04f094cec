"""A picture of the result: outlines on three planes through what matters most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from monai.data import MetaTensor

from renalseg.labels import MeasuredSegment, Segment, bounded
from renalseg.report.view import AXIAL, CORONAL, SAGITTAL, View, color_of, look
from renalseg.results.findings import Statement

_BACKGROUND = "#111111"


def save_overlay(
    image: MetaTensor,
    segmented: npt.NDArray[np.uint8],
    segments: Sequence[Segment],
    path: Path,
) -> None:
    """Saves a PNG with an axial, a coronal and a sagittal plane, as `look` chooses them.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm.
        segmented: Segment numbers (X, Y, Z).
        segments: The segments.
        path: PNG; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = _figure(look(image, segmented, segments), segments)
    figure.savefig(path, facecolor=_BACKGROUND)


def overlay_pixels(
    image: MetaTensor,
    segmented: npt.NDArray[np.uint8],
    segments: Sequence[Segment],
    said: Sequence[Statement],
    note: str,
) -> npt.NDArray[np.uint8]:
    """Gives the same picture as RGB (rows, columns, 3), with a note below it."""
    figure = _figure(look(image, segmented, segments), segments)
    *others, conclusion = said
    text = "\n".join((*(f"{kind}: {text}" for kind, text in others), conclusion.text, note))
    figure.supxlabel(text, color="white", fontsize=8)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    return np.ascontiguousarray(pixels[..., :3])


def _figure(view: View, segments: Sequence[Segment]) -> Figure:
    planes = (AXIAL, CORONAL, SAGITTAL)
    widths = [view.extent[plane.across] for plane in planes]
    height = 4.6
    figure = Figure(
        figsize=(height * sum(widths) / view.extent[1:].max() + 0.4, height + 0.7),
        dpi=110,
        facecolor=_BACKGROUND,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    for axes, plane in zip(figure.subplots(1, 3, width_ratios=widths), planes, strict=True):
        view.draw(axes, plane, segments)
        axes.set_title(plane.name, color="white", fontsize=10)
    _legend(figure, segments)
    return figure


def _volume(segment: Segment) -> str:
    cut = isinstance(segment, MeasuredSegment) and segment.lower_bound
    return bounded(f"{segment.volume_ml:.1f} ml", cut)


def _legend(figure: Figure, segments: Sequence[Segment]) -> None:
    shown = [
        Line2D([], [], color=color_of(s), lw=2, label=f"{s.label}  {_volume(s)}") for s in segments
    ]
    if shown:
        figure.legend(
            handles=shown,
            loc="outside lower center",
            ncols=min(4, len(shown)),
            frameon=False,
            labelcolor="white",
            fontsize=9,
        )
    else:
        figure.suptitle("no kidney found", color="white")
