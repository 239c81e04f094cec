"""The PDF report of a study: one page, or more for many warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from matplotlib.colors import to_hex

from renalseg.findings.enhancement import described
from renalseg.findings.nephrometry.points import described as scored
from renalseg.findings.sentences import NO_KIDNEY, USE, Kind, Statement, finding
from renalseg.labels import MeasuredSegment, bounded
from renalseg.report.panels import Panel, Panels, Style
from renalseg.report.sheet import DARK, GRAY, HEIGHT, LEFT, RED, RIGHT, Sheet, to_pdf
from renalseg.report.text import defaults, leading, wrap
from renalseg.report.view import View, color_of

TITLE = "Kidneys and kidney tumors in CT"
_MOST_ROWS = 12
_MOST_LINES = 4  # of one value of the study
_FOOT = HEIGHT - 14  # mm from the upper edge
_PICTURES = 75.0  # mm that pictures have at least
_NOTE, _FACT, _SAID = 8.0, 8.5, 8.5  # points
_ROW = 5.2  # mm
_LABEL = 24.0  # mm for what stands before a value or a note
_COLUMNS = (LEFT, 104.0)  # of the study's values
_NOTICE = "#fdf1ef"  # behind warnings
# Two lines of a heading, and the right edge of the column in mm.
_MEASURES = (
    (("Image", ""), 80.0),
    (("Volume", "ml"), 95.0),
    (("Longest", "mm"), 109.0),
    (("Longest", "axial mm"), 125.0),
    (("Mean ± SD", "HU"), 143.0),
    (("Third of", "kidney"), 157.0),
    (("Exophytic", "%"), 173.0),
    (("Size", "category"), RIGHT),
)
MEASURES = (
    "Kidneys are measured without their tumors and cysts. The image is the slice that shows most "
    "of the segment. Diameters are the largest distances between voxel centers, in space and "
    "within one axial slice. The third is the part of the kidney's long axis in which the "
    "center lies. Exophytic is what lies outside of the convex hull of the kidney. The size "
    "category has the cut-offs 4, 7 and 10 cm; it is no stage."
)


@dataclass(frozen=True)
class Facts:
    """Text of the report besides pictures and measures.

    Attributes:
        study: Names and values of patient, study and series.
        phase: Contrast phase, as a short sentence.
        method: What found it, and its version.
        pictures: How the pictures are to be read.
        created: Date and time of the report, as written into the file.
        made: Who made the segmentation, in a sentence.
    """

    study: Mapping[str, str]
    phase: str
    method: str
    pictures: str
    created: datetime
    made: str = "Automatic segmentation and measures."


class _Note(NamedTuple):
    title: str
    lines: list[str]

    @property
    def height(self) -> float:
        return len(self.lines) * leading(_NOTE) + 1.5


def draw_page(
    facts: Facts,
    view: View,
    panels: Sequence[Panel],
    segments: Sequence[MeasuredSegment],
    said: Sequence[Statement],
) -> bytes:
    """Draws the report.

    Args:
        facts: What is said of the study and the method.
        view: What the pictures are taken from.
        panels: The pictures.
        segments: What was found.
        said: What the result says, the conclusion last.

    Returns:
        The PDF; the same arguments give the same bytes.
    """
    with defaults():
        sheets = make_pages(facts, view, panels, segments, said)
        return to_pdf(sheets, TITLE, USE, facts.created)


def make_pages(
    facts: Facts,
    view: View,
    panels: Sequence[Panel],
    segments: Sequence[MeasuredSegment],
    said: Sequence[Statement],
) -> list[Sheet]:
    """Lays the report out: pictures are as large as the text leaves them room.

    Where warnings would leave them less than a quarter of the page, those go on on another.
    """
    *others, conclusion = said
    warnings = [each for each in others if each.kind != Kind.COMPARISON]
    compared = [each.text for each in others if each.kind == Kind.COMPARISON]
    sheet = _new_sheet(facts.made)
    y = _study(sheet, facts.study, 34)
    color = RED if finding(segments) == NO_KIDNEY else DARK
    answer = wrap(conclusion.text, RIGHT - LEFT, 11, bold=True)
    notes = _notes(facts, segments, compared)
    below = _table_height(segments) + sum(note.height for note in notes) + 6
    fixed = len(answer) * leading(11) + _PICTURES + below + 10
    first, rest = _split(warnings, _FOOT - 4 - y - fixed)
    y = _say(sheet, first, len(rest), y) if first or rest else y + 2
    y = sheet.lines(LEFT, y + 6, answer, 11, bold=True, color=color)
    style = Style(_NOTE, GRAY)
    pictures = Panels(view, panels, RIGHT - LEFT, _FOOT - 4 - below - (y - 2), style)
    y = pictures.draw(sheet, LEFT, y - 2, segments)
    y = _table(sheet, segments, facts.phase, y + 6)
    for note in notes:
        sheet.text(LEFT, y, note.title, _NOTE, bold=True)
        sheet.lines(LEFT + _LABEL, y, note.lines, _NOTE)
        y += note.height
    return [sheet, *_more_pages(rest, facts.made)]


def _new_sheet(made: str) -> Sheet:
    sheet = Sheet()
    sheet.text(LEFT, 19, TITLE, 17, bold=True, color=DARK)
    sheet.text(LEFT, 25, f"{made} {USE}", 9, color=RED)
    sheet.rule(28, 1.5, DARK)
    sheet.rule(_FOOT)
    foot = f"{USE} Made by a program, and not verified by a radiologist."
    sheet.text(LEFT, _FOOT + 4.5, foot, _NOTE, color=GRAY)
    return sheet


def _study(sheet: Sheet, study: Mapping[str, str], y: float) -> float:
    """Two columns of names and values; long values take several lines."""
    rows = list(study.items())
    half = (len(rows) + 1) // 2
    ends = []
    for x, part in zip(_COLUMNS, (rows[:half], rows[half:]), strict=True):
        line = y
        for name, value in part:
            sheet.text(x, line, name, _FACT, color=GRAY)
            lines = wrap(value, _COLUMNS[1] - LEFT - _LABEL - 3, _FACT)
            if len(lines) > _MOST_LINES:
                lines = [*lines[: _MOST_LINES - 1], lines[_MOST_LINES - 1] + " …"]
            sheet.lines(x + _LABEL, line, lines, _FACT)
            line += 4.8 + leading(_FACT) * (len(lines) - 1)
        ends.append(line)
    return max(ends)


def _said(statement: Statement) -> list[str]:
    return wrap(f"{statement.kind}: {statement.text}", RIGHT - LEFT - 7, _SAID)


def _split(warnings: Sequence[Statement], height: float) -> tuple[list[Statement], list[Statement]]:
    """The warnings that a height takes, and the rest."""
    used = 2 * leading(_SAID)  # for what says that there are more
    for count, warning in enumerate(warnings):
        used += len(_said(warning)) * leading(_SAID)
        if used > height:
            return list(warnings[:count]), list(warnings[count:])
    return list(warnings), []


def _say(sheet: Sheet, warnings: Sequence[Statement], more: int, y: float) -> float:
    """Writes warnings into a box; gives its lower edge."""
    lines = [line for warning in warnings for line in _said(warning)]
    if more:
        lines.append(f"Further warnings on the next page: {more}")
    height = len(lines) * leading(_SAID) + 2.5
    sheet.box(LEFT, y, RIGHT - LEFT, height, color=_NOTICE, lw=0, zorder=-1)
    sheet.box(LEFT, y, 1.2, height, color=RED, lw=0, zorder=-1)
    sheet.lines(LEFT + 4, y + leading(_SAID) + 0.3, lines, _SAID, color=RED)
    return y + height


def _more_pages(warnings: Sequence[Statement], made: str) -> list[Sheet]:
    """Pages for the warnings for which the first one has no room."""
    sheets = []
    while warnings:
        sheet = _new_sheet(made)
        first, rest = _split(warnings, _FOOT - 40)
        first, rest = first or list(warnings[:1]), rest if first else list(warnings[1:])
        _say(sheet, first, len(rest), 33)
        sheets.append(sheet)
        warnings = rest
    return sheets


def _shown(segments: Sequence[MeasuredSegment]) -> list[MeasuredSegment]:
    """Kidneys, tumors and cysts in this order, the largest first, as there is room for them."""
    return sorted(segments, key=lambda segment: segment.kind)[:_MOST_ROWS]


def _table_height(segments: Sequence[MeasuredSegment]) -> float:
    if not segments:
        return 0.0
    shown = len(_shown(segments))
    return 14 + _ROW * shown + (4.5 if shown < len(segments) else 0)


def _table(sheet: Sheet, segments: Sequence[MeasuredSegment], phase: str, y: float) -> float:
    if not segments:
        return y
    shown = _shown(segments)
    end = y + _table_height(segments)
    sheet.text(LEFT, y, "Measures", _NOTE, bold=True)
    sheet.text(LEFT, y + leading(_NOTE), phase, _NOTE, color=GRAY)
    for heading, x in _MEASURES:
        sheet.lines(x, y, heading, _NOTE, color=GRAY, ha="right")
    y += 5.5
    sheet.rule(y)
    y += 4.4
    for row in shown:
        sheet.box(LEFT, y - 2.6, 3, 3, fc=to_hex(color_of(row)), ec=GRAY, lw=0.4)
        sheet.text(LEFT + 5, y, row.label)
        for (_, x), cell in zip(_MEASURES, _cells(row), strict=True):
            sheet.text(x, y, cell, ha="right")
        y += _ROW
    sheet.rule(y - 3)
    if len(shown) < len(segments):
        rest = f"Smaller ones, only in the structured report: {len(segments) - len(shown)}"
        sheet.text(LEFT + 5, y + 1, rest, _NOTE, color=GRAY)
    return end


def _cells(row: MeasuredSegment) -> tuple[str, ...]:
    share = row.exophytic_percent
    return (
        row.image or "",
        bounded(f"{row.volume_ml:.1f}", row.lower_bound),
        bounded(f"{row.longest_mm:.0f}", row.lower_bound),
        bounded(f"{row.longest_axial_mm:.0f}", row.lower_bound),
        f"{row.mean_hu:.0f} ± {row.sd_hu:.0f}",
        "" if row.third is None else row.third.value,
        "" if share is None else f"{share:.0f}",
        row.size or "",
    )


def _notes(
    facts: Facts, segments: Sequence[MeasuredSegment], compared: Sequence[str]
) -> list[_Note]:
    """How it was measured, how the pictures are to be read, what found it."""
    texts = {"Pictures": facts.pictures, "Method": facts.method}
    if segments:
        texts = {"Definitions": MEASURES, **texts}
    if phases := " ".join(described(segment) for segment in segments if segment.enhancement):
        texts = {"Phases": phases, **texts}
    if scores := " ".join(scored(segment) for segment in segments if segment.nephrometry):
        texts = {"Nephrometry": scores, **texts}
    if compared:
        texts = {"Comparison": " ".join(compared), **texts}
    width = RIGHT - LEFT - _LABEL
    return [_Note(title, wrap(text, width, _NOTE)) for title, text in texts.items()]
