"""Sheets to write and draw on, in mm: pages of a PDF, or a picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from renalseg.report.text import drawable, leading

WIDTH, HEIGHT = 210.0, 297.0  # mm, A4
LEFT, RIGHT = 15.0, 195.0  # margins
_INCH = 25.4  # mm
_DPI = 200

BLACK, GRAY, DARK, RED = "black", "#666666", "#1b2a38", "#a02020"


class Sheet:
    """A sheet. Places are in mm from its left and upper edges; text stands on its place.

    Args:
        width: In mm.
        height: In mm.
        dpi: Of its pictures, or of the sheet where it becomes one.
        paper: Its color.
    """

    def __init__(
        self, width: float = WIDTH, height: float = HEIGHT, dpi: int = _DPI, paper: str = "white"
    ) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / _INCH, height / _INCH), dpi=dpi, facecolor=paper)

    def text(
        self, x: float, y: float, text: str, size: float = 9, *, bold: bool = False, **options: Any
    ) -> None:
        """Writes one line whose base is at `y`."""
        if bold:
            options["weight"] = "bold"
        self.figure.text(x / self.width, 1 - y / self.height, drawable(text), size=size, **options)

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
        places = [place / self.width for place in x]
        height = [1 - y / self.height] * 2
        self.figure.add_artist(Line2D(places, height, lw=width, color=color))

    def box(self, x: float, y: float, width: float, height: float, **options: Any) -> None:
        """Draws a rectangle whose upper left corner is at (x, y)."""
        corner = (x / self.width, 1 - (y + height) / self.height)
        size = (width / self.width, height / self.height)
        shape = Rectangle(corner, *size, transform=self.figure.transFigure, **options)
        self.figure.add_artist(shape)

    def draw(
        self, what: Callable[[Axes], None], x: float, y: float, width: float, height: float
    ) -> None:
        """Draws on axes whose upper left corner is at (x, y)."""
        corner = (x / self.width, 1 - (y + height) / self.height)
        what(self.figure.add_axes((*corner, width / self.width, height / self.height)))

    def pixels(self) -> npt.NDArray[np.uint8]:
        """Gives the sheet as RGB (rows, columns, 3)."""
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


class Draft(Sheet):
    """A sheet without paper: keeps what is drawn on it, to be put on others at any height."""

    def __init__(self) -> None:
        self._steps: list[Callable[[Sheet, float], None]] = []

    def text(
        self, x: float, y: float, text: str, size: float = 9, *, bold: bool = False, **options: Any
    ) -> None:
        """Keeps a line of text."""
        self._steps.append(lambda on, down: on.text(x, y + down, text, size, bold=bold, **options))

    def rule(
        self,
        y: float,
        width: float = 0.6,
        color: str = GRAY,
        x: tuple[float, float] = (LEFT, RIGHT),
    ) -> None:
        """Keeps a horizontal line."""
        self._steps.append(lambda on, down: on.rule(y + down, width, color, x))

    def box(self, x: float, y: float, width: float, height: float, **options: Any) -> None:
        """Keeps a rectangle."""
        self._steps.append(lambda on, down: on.box(x, y + down, width, height, **options))

    def draw(
        self, what: Callable[[Axes], None], x: float, y: float, width: float, height: float
    ) -> None:
        """Keeps a picture."""
        self._steps.append(lambda on, down: on.draw(what, x, y + down, width, height))

    def put(self, sheet: Sheet, y: float) -> None:
        """Draws all of it on a sheet, so much lower than it was drawn here."""
        for step in self._steps:
            step(sheet, y)


def to_pdf(sheets: Sequence[Sheet], title: str, subject: str, created: datetime) -> bytes:
    """Gives sheets as the pages of a file; the same sheets give the same bytes."""
    file = io.BytesIO()
    # PDF wants a zone; the clock of the scanner has none
    metadata = {"Title": title, "Subject": subject, "CreationDate": created.replace(tzinfo=UTC)}
    with PdfPages(file, metadata=metadata) as pages:
        for sheet in sheets:
            pages.savefig(sheet.figure)
    return file.getvalue()
