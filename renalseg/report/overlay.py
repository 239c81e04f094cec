"""A picture of the result: planes through tumors and kidneys, statements and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from renalseg.findings.sentences import Kind, Statement
from renalseg.intake.ct import CT
from renalseg.labels import Segment, bounded
from renalseg.report.panels import Panels, Style, choose_panels
from renalseg.report.sheet import Sheet
from renalseg.report.text import defaults, leading, width_of, wrap
from renalseg.report.view import AXIAL, CORONAL, SAGITTAL, color_of, look

_PAPER, _INK, _SOFT, _ALARM = "#111111", "#ffffff", "#b8c0c8", "#ffb199"
_WIDTH, _PICTURES, _MARGIN = 280.0, 150.0, 4.0  # mm
_DPI = 110
_SIZE = 9.0  # points


@dataclass(frozen=True)
class Picture:
    """Content of a picture.

    Attributes:
        ct: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        segments: What was found.
        said: What the result says, the conclusion last.
        note: What made it, and what it may be used for.
    """

    ct: CT
    segmented: npt.NDArray[np.uint8]
    segments: Sequence[Segment]
    said: Sequence[Statement]
    note: str


def save_overlay(picture: Picture, path: Path) -> None:
    """Saves a PNG.

    Args:
        picture: What it shows.
        path: The file; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with defaults():
        make_picture(picture).figure.savefig(path)


def overlay_pixels(picture: Picture) -> npt.NDArray[np.uint8]:
    """Gives the same picture as RGB (rows, columns, 3)."""
    with defaults():
        return make_picture(picture).pixels()


def make_picture(picture: Picture) -> Sheet:
    """Lays the picture out: warnings and conclusion, planes, legend, and what made it.

    Nothing covers anything: each part begins where the last one ends.
    """
    width = _WIDTH - 2 * _MARGIN
    *warnings, conclusion = picture.said
    texts = [
        (wrap(f"{kind}: {text}", width, _SIZE), _INK if kind == Kind.COMPARISON else _ALARM)
        for kind, text in warnings
    ]
    answer = wrap(conclusion.text, width, 11, bold=True)
    legend = _legend(picture.segments, width)
    note = wrap(picture.note, width, _SIZE)
    step = leading(_SIZE)
    head = sum(len(lines) for lines, _ in texts) * step + len(answer) * leading(11) + 4
    foot = len(legend) * (step + 1.5) + len(note) * step + 5
    view = look(picture.ct.image, picture.segmented)
    chosen = choose_panels(view, picture.segments, (AXIAL, CORONAL, SAGITTAL), picture.ct)
    panels = Panels(chosen, width, _PICTURES, Style(8, _SOFT))
    sheet = Sheet(_WIDTH, head + panels.used + foot, _DPI, _PAPER)
    y = _MARGIN + step / 2
    for lines, color in texts:
        y = sheet.lines(_MARGIN, y, lines, _SIZE, color=color)
    sheet.lines(_MARGIN, y + 1, answer, 11, bold=True, color=_INK)
    y = panels.draw(sheet, _MARGIN, head) + step
    for row in legend:
        x = _MARGIN
        for segment, text, wide in row:
            sheet.box(x, y - 2.8, 3, 3, color=color_of(segment), lw=0)
            sheet.text(x + 4.5, y, text, _SIZE, color=_INK)
            x += wide
        y += step + 1.5
    sheet.lines(_MARGIN, y, note, _SIZE, color=_SOFT)
    return sheet


def _legend(segments: Sequence[Segment], width: float) -> list[list[tuple[Segment, str, float]]]:
    """Rows of segments with what is written of each, and the width that it takes in mm."""
    rows: list[list[tuple[Segment, str, float]]] = [[]]
    used = 0.0
    for segment in segments:
        volume = f"{segment.volume_ml:.1f} ml"
        text = f"{segment.label}  {bounded(volume, getattr(segment, 'lower_bound', False))}"
        wide = width_of(text, _SIZE) + 12
        if rows[-1] and used + wide > width:
            rows.append([])
            used = 0.0
        rows[-1].append((segment, text, wide))
        used += wide
    return rows if segments else []
