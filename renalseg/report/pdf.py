"""The PDF report of a study: one page for one lesion, more for more of them or many warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from renalseg.findings.sentences import NO_KIDNEY, USE, Kind, Statement, finding
from renalseg.report.blocks import ROOMS, Laid
from renalseg.report.content import TITLE, Content, Section
from renalseg.report.sheet import DARK, GRAY, HEIGHT, LEFT, RED, RIGHT, Sheet, to_pdf
from renalseg.report.text import defaults, leading, wrap

_MOST_LINES = 4  # of one value of the study
_TOP, _FOOT = 22.0, HEIGHT - 10  # mm from the upper edge
_LAST = 130.0  # mm from the upper edge, where warnings on the first page end at the latest
_NOTE, _FACT, _SAID, _ANSWER = 8.0, 8.0, 8.0, 11.0  # points
_LABEL = 19.0  # mm for the name before a value
_COLUMNS = 3  # of the study's values
_NOTICE = "#fdf1ef"  # behind warnings


def draw_pages(content: Content, sections: Iterable[Section], created: datetime) -> bytes:
    """Draws the report.

    Args:
        content: What the result says.
        sections: Its sections.
        created: Date and time of the report, as written into the file.

    Returns:
        The PDF; the same arguments give the same bytes.
    """
    with defaults():
        return to_pdf(make_pages(content, sections), TITLE, USE, created)


def make_pages(content: Content, sections: Iterable[Section]) -> list[Sheet]:
    """Lays the report out: warnings, conclusion, and then the sections, each on one page.

    Warnings for which the first page has no room go on on the second.
    """
    *others, conclusion = content.said
    warnings = [each for each in others if each.kind != Kind.COMPARISON]  # which has a section
    sheet = _new_sheet(content.made)
    y = _study(sheet, content.facts, _TOP + 4)
    first, rest = _split(warnings, _LAST - y)
    y = _say(sheet, first, len(rest), y) if first or rest else y
    color = RED if finding(content.segments) == NO_KIDNEY else DARK
    answer = wrap(conclusion.text, RIGHT - LEFT, _ANSWER, bold=True)
    y = sheet.lines(LEFT, y + 5.5, answer, _ANSWER, bold=True, color=color) - leading(_ANSWER) + 1
    parts, sheets = [Laid(section) for section in sections], [sheet]
    room = _room(parts, _FOOT - y)
    for part in parts:
        if y + part.height(room) > _FOOT:
            sheets.append(_new_sheet(content.made))
            y = _TOP + 1
        y = part.draw(sheets[-1], y, room)
    return [sheet, *_more_pages(rest, content.made), *sheets[1:]]


def _room(sections: Sequence[Laid], height: float) -> float:
    """How high rows of pictures may be: lower ones where that saves a page.

    Args:
        sections: In their order.
        height: mm that the first page has left.
    """

    def pages(room: float) -> int:
        count, left = 1, height
        for section in sections:
            needed = section.height(room)
            if needed > left:
                count, left = count + 1, _FOOT - _TOP - 1
            left -= needed
        return count

    return min(ROOMS, key=pages)


def _new_sheet(made: str) -> Sheet:
    sheet = Sheet()
    sheet.text(LEFT, 13.5, TITLE, 14, bold=True, color=DARK)
    sheet.text(LEFT, 18.5, f"{made} {USE}", 8.5, color=RED)
    sheet.rule(_TOP - 1, 1.5, DARK)
    sheet.rule(_FOOT + 1)
    foot = f"{USE} Made by a program, and not verified by a radiologist."
    sheet.text(LEFT, _FOOT + 5, foot, _NOTE, color=GRAY)
    return sheet


def _study(sheet: Sheet, study: Mapping[str, str], y: float) -> float:
    """Columns of names and values; long values take several lines."""
    rows = list(study.items())
    most = -(-len(rows) // _COLUMNS)
    width = (RIGHT - LEFT) / _COLUMNS
    ends = [y]
    for column in range(_COLUMNS):
        x, line = LEFT + column * width, y
        for name, value in rows[column * most : (column + 1) * most]:
            sheet.text(x, line, name, _FACT, color=GRAY)
            lines = wrap(value, width - _LABEL - 3, _FACT)
            if len(lines) > _MOST_LINES:
                lines = [*lines[: _MOST_LINES - 1], lines[_MOST_LINES - 1] + " …"]
            sheet.lines(x + _LABEL, line, lines, _FACT)
            line += 0.3 + leading(_FACT) * max(1, len(lines))
        ends.append(line)
    return max(ends) - 2


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
    height = len(lines) * leading(_SAID) + 2
    sheet.box(LEFT, y, RIGHT - LEFT, height, color=_NOTICE, lw=0, zorder=-1)
    sheet.box(LEFT, y, 1.2, height, color=RED, lw=0, zorder=-1)
    sheet.lines(LEFT + 4, y + leading(_SAID), lines, _SAID, color=RED)
    return y + height


def _more_pages(warnings: Sequence[Statement], made: str) -> list[Sheet]:
    """Pages for the warnings for which the first one has no room."""
    sheets = []
    while warnings:
        sheet = _new_sheet(made)
        first, rest = _split(warnings, _FOOT - _TOP - 8)
        first, rest = first or list(warnings[:1]), rest if first else list(warnings[1:])
        _say(sheet, first, len(rest), _TOP + 4)
        sheets.append(sheet)
        warnings = rest
    return sheets
