"""The measures of a result as an HTML table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from renalseg.labels import BOUNDED, Color, ContrastPhase, Side, bounded, rgb_of
from renalseg.scores import QUANTITIES

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
_RISES = (
    ("absolute_hu", "Rise<br>HU", "{:.0f}"),
    ("relative_percent", "Rise<br>%", "{:.0f}"),
    ("washout_percent", "Washout<br>%", "{:.0f}"),
    ("fat_percent", "Fat<br>%", "{:.0f}"),
    ("calcified_percent", "Calcified<br>%", "{:.0f}"),
    ("fluid_percent", "Fluid<br>%", "{:.0f}"),
)


def measures_table(segments: Sequence[Entry]) -> str:
    """Gives a row for each segment, and a column for each measure that any of them has.

    Args:
        segments: Their entries in result.json.
    """
    if not segments:
        return "<p>Nothing was found, so nothing was measured.</p>"
    return _table(segments, _COLUMNS)


def _table(segments: Sequence[Entry], known: Sequence[tuple[str, str, str]]) -> str:
    columns = [
        column for column in known if any(entry.get(column[0]) is not None for entry in segments)
    ]
    headings = "".join(f'<th scope="col">{heading}</th>' for _, heading, _ in columns)
    rows = "\n".join(_row(entry, columns) for entry in segments)
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">Segment</th>{headings}</tr></thead>'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def enhancement_table(segments: Sequence[Entry]) -> str:
    """Gives a row for each segment that other series of the study show, a column for each phase.

    Args:
        segments: Their entries in result.json.

    Returns:
        "" where there is none.
    """
    shown = [entry for entry in segments if entry.get("enhancement")]
    seen = {value["phase"] for entry in shown for value in entry["enhancement"]["values"]}
    phases = [phase for phase in ContrastPhase if phase in seen]
    if not shown:
        return ""
    columns = [(phase, f"{phase.capitalize()}<br>HU", "{:.0f}") for phase in phases]
    rows = [
        {
            **entry,
            **entry["enhancement"],
            **{value["phase"]: value["mean_hu"] for value in entry["enhancement"]["values"]},
        }
        for entry in shown
    ]
    return f"<h3>By contrast phase</h3>\n{_table(rows, [*columns, *_RISES])}"


def nephrometry_table(segments: Sequence[Entry]) -> str:
    """Gives a row for each tumor with its scores, and its measures with their points.

    Args:
        segments: Their entries in result.json.

    Returns:
        "" where there is no tumor.
    """
    shown = [entry for entry in segments if entry.get("nephrometry")]
    if not shown:
        return ""
    columns = [
        *(
            ("renal", "R.E.N.A.L.", "{}"),
            ("padua", "PADUA", "{}"),
            ("c_index", "C-index", "{:.1f}"),
        ),
        *((name, f"{each.short}<br>{each.unit}", "{}") for name, each in QUANTITIES.items()),
        ("reason", "Not assessed", "{}"),
    ]
    rows = [
        {
            **{key: entry[key] for key in ("number", "label", "kind", "side")},
            **entry["nephrometry"],
            **{
                name: _with_points(component)
                for name, component in entry["nephrometry"]["components"].items()
            },
        }
        for entry in shown
    ]
    return (
        f"<h3>Nephrometry</h3>\n{_table(rows, columns)}\n"
        '<p class="note">In brackets: points in R.E.N.A.L. / PADUA. The collecting system and the '
        "vessels are not segmented: both are taken as touched where the sinus is.</p>"
    )


def _with_points(component: Entry) -> str:
    points = [str(component[name]) for name in ("renal", "padua") if component[name] is not None]
    return f"{component['value']:.0f}" + (f" ({' / '.join(points)})" if points else "")


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
