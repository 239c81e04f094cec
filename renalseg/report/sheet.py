"""A sheet of A4 paper to write and draw on, saved as PDF with its text as text."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from renalseg.harmless import one_line

WIDTH, HEIGHT = 210.0, 297.0  # mm
LEFT, RIGHT = 17.0, 193.0  # margins
_INCH, _POINT = 25.4, 25.4 / 72  # mm
_LEADING = 1.35  # from line to line, in sizes of the font
_FONT = "DejaVu Sans"  # comes with matplotlib: the same page on every machine
_DPI = 200  # of the pictures

BLACK, GRAY, DARK, RED = "black", "#666666", "#1b2a38", "#a02020"


@contextmanager
def defaults() -> Iterator[None]:
    """Makes sheets independent of the user's own settings of matplotlib."""
    with style.context("default"), mpl.rc_context():
        mpl.rcParams["font.family"] = _FONT
        mpl.rcParams["pdf.fonttype"] = 3  # glyphs as drawn: half the time of a TrueType subset
        mpl.rcParams["text.parse_math"] = False  # what stands in a header is no formula
        yield


class Sheet:
    """One page. Places are in mm from its left and upper edges; text stands on its place."""

    def __init__(self) -> None:
        self.figure = Figure(figsize=(WIDTH / _INCH, HEIGHT / _INCH), dpi=_DPI)

    def text(self, x: float, y: float, text: str, size: float = 9, **options: Any) -> None:
        """Writes one line whose base is at `y`."""
        self.figure.text(x / WIDTH, 1 - y / HEIGHT, text, size=size, **options)

    def lines(self, x: float, y: float, texts: Sequence[str], size: float, **options: Any) -> float:
        """Writes lines, the first at `y`; gives the place of the line after them."""
        for text in texts:
            self.text(x, y, text, size, **options)
            y += leading(size)
        return y

    def rule(
        self,
        y: float,
        width: float = 0.6,
        color: str = GRAY,
        x: tuple[float, float] = (LEFT, RIGHT),
    ) -> None:
        """Draws a horizontal line; its width is in points."""
        places = [place / WIDTH for place in x]
        self.figure.add_artist(Line2D(places, [1 - y / HEIGHT] * 2, lw=width, color=color))

    def picture(self, x: float, y: float, width: float, height: float) -> Axes:
        """Gives axes whose upper left corner is at (x, y)."""
        place = (x / WIDTH, 1 - (y + height) / HEIGHT, width / WIDTH, height / HEIGHT)
        return self.figure.add_axes(place)

    def to_pdf(self, title: str, subject: str, created: datetime) -> bytes:
        """Gives the file; the same sheet gives the same bytes."""
        file = io.BytesIO()
        # PDF wants a zone; the clock of the scanner has none
        metadata = {"Title": title, "Subject": subject, "CreationDate": created.replace(tzinfo=UTC)}
        FigureCanvasPdf(self.figure).print_pdf(file, metadata=metadata)
        return file.getvalue()


def leading(size: float) -> float:
    """The distance of two lines of a size in points, in mm."""
    return size * _LEADING * _POINT


def wrap(text: str, width: float, size: float) -> list[str]:
    """Breaks a text into lines of at most about `width` mm."""
    per_line = int(width / (size * 0.57 * _POINT))  # a letter is 0.57 as wide as high, on average
    return textwrap.wrap(drawable(text), per_line)


def shorten(text: str, width: float, size: float) -> str:
    """Cuts a text that is longer than a line of `width` mm."""
    lines = wrap(text, width, size)
    return lines[0] + " …" if len(lines) > 1 else "".join(lines)


def drawable(text: str) -> str:
    """Gives a text that the font can draw, or says that it cannot: never boxes, never a warning."""
    known = font_manager.get_font(font_manager.findfont(_FONT)).get_charmap()
    text = " ".join(one_line(text).split())
    return text if all(ord(char) in known for char in text) else "(not in this page's script)"
