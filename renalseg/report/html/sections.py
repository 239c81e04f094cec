"""The sections of a report as HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from renalseg.labels import Color
from renalseg.report.content import Column, Picture, Section, Table, Text
from renalseg.report.text import defaults
from renalseg.runtime.harmless import one_line

_PIXELS_PER_MM = 2.0
_LEAST_PIXELS = 560  # of the width of a picture
_DPI = 200  # how large letters and lines are


def sections_html(sections: Iterable[Section]) -> str:
    """Writes sections, with their pictures in them.

    Args:
        sections: In their order.
    """
    with defaults():
        return "\n".join(map(_section, sections))


def show(picture: Picture) -> str:
    """Writes a picture with its caption."""
    with defaults():
        return _picture(picture)


def chip(rgb: Color) -> str:
    """Gives a square in the color of a segment."""
    red, green, blue = rgb
    return f'<span class="chip" style="background: rgb({red} {green} {blue})"></span>'


def _section(section: Section) -> str:
    own = "" if section.color is None else chip(section.color)
    lead = f' <span class="lead">{_words(section.lead)}</span>' if section.lead else ""
    title = f"<h2>{own}{_words(section.title)}{lead}</h2>\n" if section.title else ""
    pictures = "\n".join(map(_picture, section.pictures))
    row = f'<div class="pictures">\n{pictures}\n</div>\n' if pictures else ""
    columns = "\n".join(map(_column, section.columns))
    below = f'<div class="columns">\n{columns}\n</div>\n' if columns else ""
    return f"<section>\n{title}{row}{below}</section>"


def _column(column: Column) -> str:
    blocks = "\n".join(map(_block, column.blocks))
    return f'<div style="flex-grow: {column.share:.3g}">\n{blocks}\n</div>'


def _block(block: Picture | Table | Text) -> str:
    if isinstance(block, Picture):
        return _picture(block)
    if isinstance(block, Table):
        return table_html(block)
    kind = ' class="note"' if block.small else ""
    return f'<p lang="{escape(block.language)}"{kind}>{_words(block.text)}</p>'


def table_html(table: Table) -> str:
    """Writes a table, and its note below."""
    headings = "".join(f'<th scope="col">{_words(heading)}</th>' for heading in table.headings)
    rows = ""
    for row in table.rows:
        own = "" if row.color is None else chip(row.color)
        first, *others = row.cells
        cells = "".join(f"<td>{_words(cell)}</td>" for cell in others)
        rows += f'<tr><th scope="row">{own}{_words(first)}</th>{cells}</tr>\n'
    note = f'<p class="note">{_words(table.note)}</p>' if table.note else ""
    return f"<table><thead><tr>{headings}</tr></thead><tbody>\n{rows}</tbody></table>{note}"


def _picture(picture: Picture) -> str:
    wide, high = picture.size
    scale = max(_PIXELS_PER_MM, _LEAST_PIXELS / wide)
    width, height = round(scale * wide), round(scale * high)
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    picture.draw(figure.add_axes((0, 0, 1, 1)))
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    source = base64.b64encode(file.getvalue()).decode("ascii")
    caption = _words(picture.caption)
    return (
        f'<figure style="flex: {wide / high:.3f} 1 0">'
        f'<img src="data:image/png;base64,{source}" width="{width}" height="{height}" '
        f'alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )


def _words(text: str) -> str:
    return escape(one_line(text))
