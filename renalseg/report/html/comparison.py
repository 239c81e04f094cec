"""The page of a comparison: what changed, and each lesion at both times side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from string import Template

from renalseg.findings.followup.change import Change, Measure
from renalseg.findings.followup.comparison import Comparison, Lesion
from renalseg.findings.followup.report_text import followup_text
from renalseg.findings.followup.sentences import compared, time_text
from renalseg.findings.sentences import USE
from renalseg.labels import LABELS
from renalseg.report.content import Picture
from renalseg.report.html.document import document, own_file
from renalseg.report.html.sections import show
from renalseg.runtime.harmless import one_line

TITLE = "Follow-up of kidneys and kidney tumors in CT"
_ABOUT = (
    "Lesions are matched after each kidney was registered rigidly on its own. Diameters are the "
    "largest distances between voxel centers. The error is that of the change: {error}. A change "
    "that is not larger is within the error."
)
_ERRORS = {
    "outline": "a bound, if the outline lies one voxel off at both times",
    "repeats": "1.96 standard deviations of repeated segmentations of the slightly moved CT",
}
_HEADINGS = (
    *("Before", "Now", "Change", "Error", "%", "A year"),
    *("Before", "Now", "Change", "Error", "%", "A year"),
    "Doubling<br>time",
)


def comparison_page(
    comparison: Comparison, facts: Mapping[str, str], pairs: Sequence[tuple[Picture, Picture]]
) -> str:
    """Lays the page out.

    Args:
        comparison: What changed.
        facts: Names and values of both studies. No patient: pages travel easily.
        pairs: Each lesion earlier and now.

    Returns:
        The file's text; the same arguments give the same text.
    """
    parts = {
        "title": TITLE,
        "sentence": escape(compared(comparison) or ""),
        "use": USE,
        "remarks": _remarks(comparison.remarks),
        "table": _table(comparison),
        "others": _others(comparison),
        "pairs": "\n".join(map(_pair, pairs)) or "<p>No lesion was found in either study.</p>",
        "texts": "\n".join(
            f'<p lang="{language}">{escape(text)}</p>'
            for language, text in followup_text(comparison).items()
        ),
        "facts": "\n".join(
            f"<dt>{escape(name)}</dt><dd>{escape(one_line(value))}</dd>"
            for name, value in facts.items()
        ),
        "about": _ABOUT.format(error="; ".join(_ERRORS[source] for source in _sources(comparison))),
    }
    body = Template(own_file("comparison.html")).substitute(parts)
    return document(TITLE, body, style=own_file("comparison.css"))


def _sources(comparison: Comparison) -> list[str]:
    changes = (*comparison.kidneys, *comparison.lesions)
    return sorted({change.error_source for change in changes}) or ["outline"]


def _remarks(remarks: Sequence[str]) -> str:
    if not remarks:
        return ""
    items = "".join(f"<li>{escape(one_line(text))}</li>" for text in remarks)
    return f'<ul class="warnings">{items}</ul>'


def _table(comparison: Comparison) -> str:
    changes = (*comparison.kidneys, *comparison.lesions)
    if not changes:
        return "<p>Nothing was found in both studies.</p>"
    headings = "".join(f'<th scope="col">{heading}</th>' for heading in _HEADINGS)
    rows = "\n".join(map(_row, changes))
    return (
        '<div class="scroll"><table><thead>'
        '<tr><th></th><th colspan="6" class="group">Longest diameter, mm</th>'
        '<th colspan="6" class="group">Volume, ml</th><th></th></tr>'
        f'<tr><th scope="col">Segment now</th>{headings}</tr></thead>'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _row(change: Change) -> str:
    name = escape(change.label)
    if change.prior_label != change.label:
        name += f'<br><span class="soft">was {escape(change.prior_label)}</span>'
    cells = [*_cells(change.longest_mm, change, 1), *_cells(change.volume_ml, change, 1)]
    doubling = "" if change.doubling_days is None else time_text(round(change.doubling_days))
    return f'<tr><th scope="row">{name}</th>{"".join(cells)}<td>{doubling}</td></tr>'


def _cells(measure: Measure, change: Change, digits: int) -> list[str]:
    def signed(value: float | None, places: int) -> str:
        return "" if value is None else f"{round(value, places) + 0.0:+.{places}f}"

    strong = not (measure.within_error or change.lower_bound)
    changed = signed(measure.change, digits)
    rate = "" if measure.within_error else signed(measure.per_year, digits)
    texts = (
        f"{measure.prior:.{digits}f}",
        f"{measure.now:.{digits}f}",
        f"<b>{changed}</b>" if strong else changed,
        f"± {measure.error:.{digits}f}",
        signed(measure.percent, 0),
        rate,
    )
    return [f"<td>{text}</td>" for text in texts]


def _others(comparison: Comparison) -> str:
    lists = {
        "New": comparison.new,
        "No longer found": comparison.gone,
        **{
            f"Not compared, {when} study": lesions for when, lesions in comparison.unmatched.items()
        },
    }
    rows = [
        f'<tr><th scope="row">{escape(lesion.label)}</th>{_lesion(lesion)}<td>{status}</td></tr>'
        for status, lesions in lists.items()
        for lesion in lesions
    ]
    if not rows:
        return ""
    return (
        '<div class="scroll"><table class="more"><thead><tr><th scope="col">Lesion</th>'
        '<th scope="col">Kind</th><th scope="col">Longest<br>mm</th><th scope="col">Volume<br>ml'
        f'</th><th scope="col"></th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _lesion(lesion: Lesion) -> str:
    texts = (LABELS[lesion.kind].name, f"{lesion.longest_mm:.1f}", f"{lesion.volume_ml:.1f}")
    return "".join(f"<td>{text}</td>" for text in texts)


def _pair(pair: tuple[Picture, Picture]) -> str:
    return f'<div class="pair">{"".join(map(show, pair))}</div>'
