"""The comparison of methods as one HTML file that opens from disk."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from renalseg.evaluation.compare import LESS_IS_BETTER, CasePair, Comparison
from renalseg.evaluation.comparison_plot import comparison_png
from renalseg.evaluation.terminal import difference_cells, number
from renalseg.report.html.document import document
from renalseg.runtime.staging import complete_file

PAGE_FILE = "comparison.html"
_BODY = Template("""<header><p class="product">RenalSeg</p><h1>$title</h1></header>
<main>
$sections
<section><h2>How to read this</h2><p>$about</p></section>
</main>""")
_STYLE = "img { max-width: 100%; background: #fff; border-radius: 6px; }"
_ABOUT = (
    "Differences are second minus first, over the cases that both segmented. Intervals and p come "
    "from the paired bootstrap over cases: 95 % percentile intervals of 2000 resamples, and the "
    "two-sided p that agrees with them, not corrected for several comparisons. With fewer than "
    "about 20 cases both are too optimistic. Dice is that of KiTS19. The tumor Dice counts cases "
    "with a labeled tumor. Tumors are found by an intersection over union of 0.1 or more."
)


def save_page(comparisons: Sequence[Comparison], path: Path) -> None:
    """Writes the page, all of it or nothing.

    Args:
        comparisons: Of the first method with each other one.
        path: The file; its folder is made.

    Raises:
        OSError: It cannot be written.
    """
    names = " and ".join([comparisons[0].first, *(each.second for each in comparisons)])
    title = f"{names} on the same cases"
    body = _BODY.substitute(
        title=escape(title),
        sections="\n".join(map(_section, comparisons)),
        about=escape(_ABOUT),
    )
    page = document(title, body, style=_STYLE)
    with complete_file(path) as file:
        file.write_text(page, encoding="utf-8")


def _section(comparison: Comparison) -> str:
    png = base64.b64encode(comparison_png(comparison)).decode()
    first, second = comparison.first, comparison.second
    differences = _table(
        ("", first, second, "difference (95 % interval)", "p", "cases"),
        (
            (_called(name), *difference_cells(difference))
            for name, difference in comparison.differences.items()
        ),
    )
    heads = [f"{what}, {name}" for what in ("kidney", "tumor") for name in (first, second)]
    counts = [f"{what}, {name}" for what in ("found", "false") for name in (first, second)]
    cases = _table(("case", *heads, "tumors", *counts), map(_row, _by_gain(comparison.pairs)))
    alone = ", ".join(comparison.only)
    left = f"<p>Scored by one method alone, not counted: {escape(alone)}.</p>" if alone else ""
    return (
        f"<section><h2>{escape(first)} and {escape(second)}</h2>{differences}{left}"
        f'<p><img alt="Dice of each case" src="data:image/png;base64,{png}"></p>'
        f"<h2>Case by case</h2>{cases}</section>"
    )


def _called(name: str) -> str:
    return f"{name} (less is better)" if name in LESS_IS_BETTER else name


def _by_gain(pairs: Iterable[CasePair]) -> list[CasePair]:
    """The largest loss of the second method first, by tumor Dice and then by kidney Dice."""

    def gain(pair: CasePair) -> tuple[float, float]:
        tumor, kidney = (b - a for a, b in map(pair.dice, ("tumor", "kidney")))
        return (0.0 if math.isnan(tumor) else tumor, 0.0 if math.isnan(kidney) else kidney)

    return sorted(pairs, key=gain)


def _row(pair: CasePair) -> tuple[str, ...]:
    dice = (number(value) for structure in ("kidney", "tumor") for value in pair.dice(structure))
    return (pair.case, *dice, *map(str, (pair.lesions, *pair.found, *pair.false)))


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'
