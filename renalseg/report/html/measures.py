"""The measures of a result as an HTML table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from renalseg.labels import BOUNDED, Color, Side, bounded, rgb_of

Entry = Mapping[str, Any]


# Name in result.json, heading, and how the value is written, in the order of the columns.
_COLUMNS = (
    ("image", "Image", "{}"),
    ("volume_ml", "Volume<br>ml", "{:.1f}"),
    ("longest_mm", "Longest<br>mm", "{:.0f}"),
    ("longest_axial_mm", "Longest<br>axial mm", "{:.0f}"),
    ("mean_hu", "Mean<br>HU", "{:.0f}"),
    ("sd_hu", "SD<br>HU", "{:.0f}"),
    ("third", "Third of<br>kidney", "{}"),
    ("exophytic_percent", "Exophytic<br>%", "{:.0f}"),
    ("size", "Size<br>category", "{}"),
)


def measures_table(segments: Sequence[Entry]) -> str:
    """Gives a row for each segment, and a column for each measure that any of them has.

    Args:
        segments: Their entries in result.json.
    """
    if not segments:
        return "<p>Nothing was found, so nothing was measured.</p>"
    columns = [
        column for column in _COLUMNS if any(entry.get(column[0]) is not None for entry in segments)
    ]
    headings = "".join(f'<th scope="col">{heading}</th>' for _, heading, _ in columns)
    rows = "\n".join(_row(entry, columns) for entry in segments)
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">Segment</th>{headings}</tr></thead>'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _row(entry: Entry, columns: Sequence[tuple[str, str, str]]) -> str:
    cells = ""
    for name, _, form in columns:
        value = entry.get(name)
        text = "" if value is None else form.format(value)
        text = bounded(text, name in BOUNDED and entry.get("lower_bound", False))
        cells += f"<td>{escape(text)}</td>"
    rgb = rgb_of(entry["kind"], Side(entry["side"]), entry["number"])
    return f'<tr><th scope="row">{chip(rgb)}{escape(entry["label"])}</th>{cells}</tr>'


def chip(rgb: Color) -> str:
    """Gives a square in the color of a segment."""
    red, green, blue = rgb
    return f'<span class="chip" style="background: rgb({red} {green} {blue})"></span>'
