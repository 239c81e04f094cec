"""The report of one study on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from renalseg.labels import MeasuredSegment, bounded
from renalseg.report.sheet import (
    BLACK,
    DARK,
    GRAY,
    HEIGHT,
    LEFT,
    RED,
    RIGHT,
    Sheet,
    defaults,
    leading,
    shorten,
    wrap,
)
from renalseg.report.view import AXIAL, CORONAL, View, color_of
from renalseg.results.findings import NO_KIDNEY, USE, Statement, finding

TITLE = "Kidneys and kidney tumors in CT"
_MOST_ROWS = 12
_FOOT = HEIGHT - 14  # mm from the upper edge
_GAP, _CAPTION = 4.0, 5.0  # mm between pictures, and for what stands below one
_NOTE = 8.0  # points
# Two lines of a heading, and the right edge of the column in mm.
_COLUMNS = (
    (("Volume", "ml"), 73.0),
    (("Longest", "mm"), 91.0),
    (("Longest axial", "mm"), 114.0),
    (("Mean ± SD", "HU"), 136.0),
    (("Third of", "kidney"), 155.0),
    (("Exophytic", "%"), 173.0),
    (("Size", "category"), RIGHT),
)
MEASURES = (
    "Kidneys are measured without their tumors and cysts. Diameters are the largest distances "
    "between voxel centers, in space and within one axial slice. The third is the part of the "
    "kidney's long axis in which the center lies. Exophytic is what lies outside of the convex "
    "hull of the kidney. The size category has the cut-offs 4, 7 and 10 cm; it is no stage."
)


@dataclass(frozen=True)
class Facts:
    """What the page says beside pictures and measures.

    Attributes:
        study: Names and values of patient, study and series.
        method: What found it, and its version.
        created: Date and time of the page, as written into the file.
        captions: Below the axial and the coronal picture.
    """

    study: Mapping[str, str]
    method: str
    created: datetime
    captions: tuple[str, str]


def draw_page(
    facts: Facts, view: View, segments: Sequence[MeasuredSegment], said: Sequence[Statement]
) -> bytes:
    """Draws the page.

    Args:
        facts: What is said.
        view: What the pictures show.
        segments: What was found.
        said: What the result says, the conclusion last.

    Returns:
        The PDF; the same arguments give the same bytes.
    """
    with defaults():
        return make_page(facts, view, segments, said).to_pdf(TITLE, USE, facts.created)


def make_page(
    facts: Facts, view: View, segments: Sequence[MeasuredSegment], said: Sequence[Statement]
) -> Sheet:
    """Lays the page out: pictures are as large as the text leaves them room."""
    sheet = Sheet()
    sheet.text(LEFT, 19, TITLE, 17, weight="bold", color=DARK)
    sheet.text(LEFT, 25, f"Automatic segmentation and measures. {USE}", 9, color=RED)
    sheet.rule(28.5, 1.5, DARK)
    y = _study(sheet, facts.study, 35)
    y = _finding(sheet, segments, said, y + 3)
    shown = _shown(segments)
    notes = _notes(facts, segments)
    below = _table_height(segments, shown) + sum(_note_height(lines) for _, _, lines in notes)
    y = _pictures(sheet, view, segments, facts.captions, y - 1, _FOOT - 8 - below)
    y = _table(sheet, segments, shown, y + 5)
    for title, color, lines in notes:
        sheet.text(LEFT, y, title, _NOTE, weight="bold", color=color)
        sheet.lines(LEFT + 21, y, lines, _NOTE)
        y += _note_height(lines)
    sheet.rule(_FOOT)
    foot = f"{USE} Made by a program, and not verified by a radiologist."
    sheet.text(LEFT, _FOOT + 4.5, foot, _NOTE, color=GRAY)
    return sheet


def _study(sheet: Sheet, study: Mapping[str, str], y: float) -> float:
    """Two columns of names and values."""
    rows = list(study.items())
    half = (len(rows) + 1) // 2
    for number, (name, value) in enumerate(rows):
        x = LEFT if number < half else 104.0
        line = y + 4.8 * (number % half)
        sheet.text(x, line, name, 8.5, color=GRAY)
        sheet.text(x + 21, line, shorten(value, 66, 8.5), 8.5)
    return y + 4.8 * half


def _finding(
    sheet: Sheet, segments: Sequence[MeasuredSegment], said: Sequence[Statement], y: float
) -> float:
    color = RED if finding(segments) == NO_KIDNEY else DARK
    *others, conclusion = said
    for kind, text in others:
        y = sheet.lines(LEFT, y, wrap(f"{kind}: {text}", RIGHT - LEFT, _NOTE), _NOTE, color=RED)
    y += 2 if others else 0
    lines = wrap(conclusion.text, RIGHT - LEFT - 12, 11)
    return sheet.lines(LEFT, y, lines, 11, weight="bold", color=color)


def _pictures(
    sheet: Sheet,
    view: View,
    segments: Sequence[MeasuredSegment],
    captions: tuple[str, str],
    top: float,
    bottom: float,
) -> float:
    """The axial and the coronal plane at one scale, beside or below each other."""
    planes, room = (AXIAL, CORONAL), (RIGHT - LEFT, bottom - top)
    widths = [float(view.extent[plane.across]) for plane in planes]
    heights = [float(view.extent[plane.up]) for plane in planes]
    beside = min((room[0] - _GAP) / sum(widths), (room[1] - _CAPTION) / max(heights))
    aside = 0.8 * room[0]  # a caption stands beside a picture that is stacked
    stacked = min(aside / max(widths), (room[1] - _GAP) / sum(heights))
    scale, below = max(beside, stacked), stacked > beside
    x, y = LEFT, top
    for plane, width, height, caption in zip(planes, widths, heights, captions, strict=True):
        width, height = scale * width, scale * height
        axes = sheet.picture(x, y, width, height)
        view.draw(axes, plane, segments)
        _scale_bar(axes)
        if below:  # there is room at the right
            lines = wrap(caption, RIGHT - x - width - 3, _NOTE)
            sheet.lines(x + width + 3, y + 3, lines, _NOTE, color=GRAY)
            y += height + _GAP
        else:
            sheet.text(x, y + height + 4, shorten(caption, width, _NOTE), _NOTE, color=GRAY)
            x += width + _GAP
    return y if below else y + scale * max(heights) + _CAPTION


def _scale_bar(axes: Axes) -> None:
    """Five centimeters, in the lower left corner of a picture whose axes are in mm."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    toward = 1 if right > left else -1
    x, y = left + toward * 5, low + 0.03 * (high - low)
    axes.plot([x, x + toward * 50], [y, y], color="white", lw=1.5)
    axes.text(x, y + 2, "5 cm", color="white", size=7)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)


def _shown(segments: Sequence[MeasuredSegment]) -> list[MeasuredSegment]:
    """Kidneys, tumors and cysts in this order, the largest first, as there is room for them."""
    return sorted(segments, key=lambda segment: segment.kind)[:_MOST_ROWS]


def _table_height(segments: Sequence[MeasuredSegment], shown: Sequence[MeasuredSegment]) -> float:
    if not segments:
        return 0.0
    return 17 + 5.2 * len(shown) + (4.5 if len(shown) < len(segments) else 0)


def _table(
    sheet: Sheet,
    segments: Sequence[MeasuredSegment],
    shown: Sequence[MeasuredSegment],
    y: float,
) -> float:
    if not segments:
        return y
    end = y + _table_height(segments, shown)
    for heading, x in _COLUMNS:
        sheet.lines(x, y, heading, 8, color=GRAY, ha="right")
    y += 5.5
    sheet.rule(y)
    y += 4.8
    for row in shown:
        sheet.rule(y - 1.1, 3, to_hex(color_of(row)), (LEFT, LEFT + 4))
        sheet.text(LEFT + 6, y, row.label)
        for (_, x), cell in zip(_COLUMNS, _cells(row), strict=True):
            sheet.text(x, y, cell, ha="right")
        y += 5.2
    sheet.rule(y - 3)
    if len(shown) < len(segments):
        rest = f"{len(segments) - len(shown)} smaller ones stand in the structured report alone"
        sheet.text(LEFT + 6, y + 1, rest, _NOTE, color=GRAY)
    return end


def _cells(row: MeasuredSegment) -> tuple[str, ...]:
    share = row.exophytic_percent
    return (
        bounded(f"{row.volume_ml:.1f}", row.lower_bound),
        bounded(f"{row.longest_mm:.0f}", row.lower_bound),
        bounded(f"{row.longest_axial_mm:.0f}", row.lower_bound),
        f"{row.mean_hu:.0f} ± {row.sd_hu:.0f}",
        "" if row.third is None else row.third.value,
        "" if share is None else f"{share:.0f}",
        row.size or "",
    )


def _notes(facts: Facts, segments: Sequence[MeasuredSegment]) -> list[tuple[str, str, list[str]]]:
    """Titles, their colors, and lines: how it was measured, what found it."""
    width = RIGHT - LEFT - 21
    notes = []
    if segments:
        notes.append(("Measures", BLACK, wrap(MEASURES, width, _NOTE)))
    return [*notes, ("Method", BLACK, wrap(facts.method, width, _NOTE))]


def _note_height(lines: Sequence[str]) -> float:
    return len(lines) * leading(_NOTE) + 2
