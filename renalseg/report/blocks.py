"""Sections on a sheet: pictures in rows, tables and paragraphs in columns."""

from __future__ import annotations

from renalseg.labels import Color
from renalseg.report.content import Column, Picture, Row, Section, Table, Text
from renalseg.report.panels import Panels, Style
from renalseg.report.sheet import DARK, GRAY, LEFT, RIGHT, Draft, Sheet
from renalseg.report.text import leading, width_of, wrap

_HEAD, _CELL, _TEXT, _NOTE = 10.5, 7.5, 7.5, 6.5  # points
_GAP = 5.0  # mm between columns and cells
ROOMS = (64.0, 56.0, 48.0)  # mm that pictures in a row may take, the best first
_LARGE = 2.05  # times as much for those that may take half of a page
_TALL = 42.0  # mm of a picture in a column
_CHIP = 2.6  # mm


class Laid:
    """A section that is laid out, but for the height of its row of pictures.

    Args:
        section: What.
    """

    def __init__(self, section: Section) -> None:
        self._section = section
        self._head, self._columns = Draft(), Draft()
        self._title = _draw_title(self._head, section) if section.title else 0.0
        x, ends = LEFT, [0.0]
        width = RIGHT - LEFT - _GAP * (len(section.columns) - 1)
        for column in section.columns:
            ends.append(_draw_column(self._columns, column, x, 0.0, column.share * width))
            x += column.share * width + _GAP
        self._end = max(ends) + 1

    def height(self, room: float) -> float:
        """Gives its height in mm, if a row of pictures may take `room`."""
        panels = self._panels(room)
        return self._title + (panels.used if panels else 0.0) + self._end

    def draw(self, sheet: Sheet, y: float, room: float) -> float:
        """Draws it; gives its lower edge.

        Args:
            sheet: Where.
            y: Its upper edge in mm.
            room: Height in mm that a row of pictures may take.
        """
        self._head.put(sheet, y)
        y += self._title
        panels = self._panels(room)
        if panels:
            y = panels.draw(sheet, LEFT, y)
        self._columns.put(sheet, y)
        return y + self._end

    def _panels(self, room: float) -> Panels | None:
        if not self._section.pictures:
            return None
        height = _LARGE * room if self._section.large else room
        return Panels(self._section.pictures, RIGHT - LEFT, height, Style(_CELL, GRAY))


def _draw_title(sheet: Sheet, section: Section) -> float:
    """Draws heading and lead; gives their lower edge."""
    x, y = LEFT, leading(_HEAD)
    if section.color is not None:
        _chip(sheet, x, y, section.color)
        x += _CHIP + 1.5
    sheet.text(x, y, section.title, _HEAD, bold=True, color=DARK)
    x += width_of(section.title, _HEAD, bold=True) + 3
    sheet.text(x, y, section.lead, _TEXT)
    return y + 2


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
