"""Sections on a sheet: pictures in rows, tables and paragraphs in columns."""

from __future__ import annotations

from renalseg.labels import Color
from renalseg.report.content import Column, Picture, Row, Section, Table, Text
from renalseg.report.panels import Panels, Style
from renalseg.report.sheet import DARK, GRAY, LEFT, RIGHT, Ruler, Sheet
from renalseg.report.text import leading, width_of, wrap

_HEAD, _CELL, _TEXT, _NOTE = 10.5, 7.5, 7.5, 6.5  # points
_GAP = 5.0  # mm between columns and cells
ROOMS = (64.0, 56.0, 48.0)  # mm that pictures in a row may take, the best first
_LARGE = 2.05  # times as much for those that may take half of a page
_TALL = 42.0  # mm of a picture in a column
_CHIP = 2.6  # mm


def height_of(section: Section, room: float) -> float:
    """Give the height of a section in mm, if a row of pictures may take `room`."""
    return draw_section(Ruler(), section, 0.0, room)


def draw_section(sheet: Sheet, section: Section, y: float, room: float) -> float:
    """Draw a section whose upper edge is at `y`; give its lower edge.

    Args:
        sheet: Where.
        section: What.
        y: In mm.
        room: Height in mm that a row of pictures may take.
    """
    if section.title:
        y += leading(_HEAD)
        x = LEFT
        if section.color is not None:
            _chip(sheet, x, y, section.color)
            x += _CHIP + 1.5
        sheet.text(x, y, section.title, _HEAD, bold=True, color=DARK)
        x += width_of(section.title, _HEAD, bold=True) + 3
        sheet.text(x, y, section.lead, _TEXT)
        y += 2
    if section.pictures:
        height = _LARGE * room if section.large else room
        panels = Panels(section.pictures, RIGHT - LEFT, height, Style(_CELL, GRAY))
        y = panels.draw(sheet, LEFT, y)
    x, ends = LEFT, [y]
    width = RIGHT - LEFT - _GAP * (len(section.columns) - 1)
    for column in section.columns:
        ends.append(_draw_column(sheet, column, x, y, column.share * width))
        x += column.share * width + _GAP
    return max(ends) + 1


def _draw_column(sheet: Sheet, column: Column, x: float, y: float, width: float) -> float:
    for block in column.blocks:
        if isinstance(block, Picture):
            y = _draw_picture(sheet, block, x, y + 1, width)
        elif isinstance(block, Table):
            y = _draw_table(sheet, block, x, y, width)
        else:
            y = _draw_text(sheet, block, x, y, width)
    return y


def _draw_picture(sheet: Sheet, picture: Picture, x: float, y: float, width: float) -> float:
    wide, high = picture.size
    scale = min(width / wide, _TALL / high)
    sheet.draw(picture.draw, x, y, scale * wide, scale * high)
    lines = wrap(picture.caption, width, _NOTE)
    end = sheet.lines(x, y + scale * high + leading(_NOTE), lines, _NOTE, color=GRAY)
    return end - leading(_NOTE) + 1


def _draw_text(sheet: Sheet, text: Text, x: float, y: float, width: float) -> float:
    size, color = (_NOTE, GRAY) if text.small else (_TEXT, DARK)
    lines = wrap(text.text, width, size)
    return sheet.lines(x, y + leading(size), lines, size, color=color) - leading(size) + 1.5


def _draw_table(sheet: Sheet, table: Table, x: float, y: float, width: float) -> float:
    step = leading(_CELL) + 0.35
    y += step
    edges = _edges(table, x + width)
    _draw_row(sheet, Row(table.headings), x, y, edges, color=GRAY)
    sheet.rule(y + 1.2, x=(x, x + width))
    y += 1.2
    for row in table.rows:
        y += step
        _draw_row(sheet, row, x, y, edges, color=DARK)
    y += 1
    if table.note:
        y = _draw_text(sheet, Text(table.note, small=True), x, y, width)
    return y + 1


def _draw_row(
    sheet: Sheet, row: Row, x: float, y: float, edges: list[float], *, color: str
) -> None:
    first, *others = row.cells
    if row.color is not None:
        _chip(sheet, x, y, row.color)
        x += _CHIP + 1.2
    sheet.text(x, y, first, _CELL, color=color)
    for cell, edge in zip(others, edges, strict=True):
        sheet.text(edge, y, cell, _CELL, color=color, ha="right")


def _edges(table: Table, right: float) -> list[float]:
    """The right edges of all columns but the first, in mm."""
    cells = zip(*(table.headings, *(row.cells for row in table.rows)), strict=True)
    widths = [max(width_of(cell, _CELL) for cell in column) for column in cells][1:]
    edges = [right]
    for width in reversed(widths[1:]):
        edges.insert(0, edges[0] - width - _GAP / 2)
    return edges


def _chip(sheet: Sheet, x: float, y: float, color: Color) -> None:
    fill = "#{:02x}{:02x}{:02x}".format(*color)
    sheet.box(x, y - _CHIP, _CHIP, _CHIP, fc=fill, ec=GRAY, lw=0.4)
