"""What a report holds, for the HTML page and for the PDF alike: sections of pictures and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from matplotlib.axes import Axes

from renalseg.findings.sentences import Statement
from renalseg.labels import Color, ContrastPhase, MeasuredSegment

TITLE = "Kidneys and kidney tumors in CT"
SMALL_PRINT = (
    "Kidneys are measured without their tumors and cysts. Diameters join voxel centers, in space "
    "or within one slice. Third: of the kidney's long axis, where the center lies. Outside: beyond "
    "the convex hull of the kidney. Sizes have the cut-offs 4, 7 and 10 cm; they are no stage. A "
    "tumor is what looks like a mass: CT alone proves no more."
)


@dataclass(frozen=True)
class Content:
    """What a result says.

    Attributes:
        said: Its statements, the conclusion last.
        segments: What was found, measured.
        phase: Contrast phase of the series.
        facts: Names and values of patient, study and series, as far as they are shown.
        method: What found it.
        text: Sentences for a report, by language.
        made: Who made the segmentation, in a sentence.
    """

    said: Sequence[Statement]
    segments: Sequence[MeasuredSegment]
    phase: ContrastPhase
    facts: Mapping[str, str]
    method: str
    text: Mapping[str, str] = field(default_factory=dict)
    made: str = "Automatic segmentation and measures."


class Picture(NamedTuple):
    """A picture of a section.

    Attributes:
        caption: What it shows.
        size: Width and height in mm of the patient.
        draw: Draws it on axes that have this shape.
    """

    caption: str
    size: tuple[float, float]
    draw: Callable[[Axes], None]


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        cells: One for each heading.
        color: Of the segment that it is about.
    """

    cells: tuple[str, ...]
    color: Color | None = None


class Table(NamedTuple):
    """A table that fits a third of a page.

    Attributes:
        headings: Of the columns; the first names the rows.
        rows: In their order.
        note: What stands below it.
    """

    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""


class Text(NamedTuple):
    """A paragraph.

    Attributes:
        text: Itself.
        language: Its code.
        small: Whether it is small print.
    """

    text: str
    language: str = "en"
    small: bool = False


class Column(NamedTuple):
    """Things below one another, beside other columns.

    Attributes:
        share: Of the width.
        blocks: Pictures, tables and paragraphs.
    """

    share: float
    blocks: tuple[Picture | Table | Text, ...]


class Section(NamedTuple):
    """A part of a report that stays together.

    Attributes:
        title: Its heading.
        lead: A sentence that follows it.
        color: Of the segment that it is about.
        pictures: A row of pictures at one scale.
        columns: What stands below them.
        large: Whether its pictures may take half of a page.
    """

    title: str
    lead: str = ""
    color: Color | None = None
    pictures: tuple[Picture, ...] = ()
    columns: tuple[Column, ...] = ()
    large: bool = False
