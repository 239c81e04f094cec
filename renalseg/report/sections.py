"""The sections of a report: one for each tumor and cyst, then the kidneys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from renalseg.findings.sentences import NOT_REPORTED, Kind, missing_kidneys
from renalseg.intake.ct import CT
from renalseg.labels import KIDNEY, MeasuredSegment
from renalseg.report.content import SMALL_PRINT, Column, Content, Row, Section, Table, Text
from renalseg.report.key_images import ABOUT_TICKS
from renalseg.report.kidneys import kidney_section
from renalseg.report.lesions import MOST, lesion_section
from renalseg.report.panels import about_window
from renalseg.report.view import look


def sections_of(content: Content, ct: CT, segmented: npt.NDArray[np.uint8]) -> Iterator[Section]:
    """Give the sections of a report, in their order.

    Args:
        content: What the result says.
        ct: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
    """
    view = look(ct.image, segmented)
    segments, phase = content.segments, content.phase
    found = (segment for segment in segments if segment.kind != KIDNEY)
    lesions = sorted(found, key=lambda lesion: (lesion.kind, -lesion.longest_mm))
    for lesion in lesions[:MOST]:
        yield lesion_section(ct, segmented, view, segments, lesion, phase)
    if lesions[MOST:]:
        yield _rest(lesions[MOST:])
    compared = [Text(text) for kind, text in content.said if kind == Kind.COMPARISON]
    if compared:
        yield Section("Comparison", columns=(Column(1.0, tuple(compared)),))
    yield kidney_section(ct, view, segments, phase, lead=_lead(content, lesions), alone=not lesions)
    if content.text:
        texts = [
            Column(1 / len(content.text), (Text(said, key),)) for key, said in content.text.items()
        ]
        yield Section("Text for a report", columns=tuple(texts))
    notes = (SMALL_PRINT, f"{about_window()} {ABOUT_TICKS} {content.method}")
    yield Section("", columns=tuple(Column(0.5, (Text(note, small=True),)) for note in notes))


def _lead(content: Content, lesions: Sequence[MeasuredSegment]) -> str:
    """Say plainly that nothing is reported, that something was withheld, and what is missing."""
    said = [f"No {side.value} kidney was found." for side in missing_kidneys(content.segments)]
    if not lesions:
        said.append("No tumor or cyst is reported.")
    if any(text.endswith(NOT_REPORTED) for _, text in content.said):
        said.append("Something was called tumor and is not reported: see the review above.")
    return " ".join(said)


def _rest(lesions: Sequence[MeasuredSegment]) -> Section:
    """Lesions without a section of their own, in a table."""
    rows = tuple(
        Row((lesion.label, f"{lesion.longest_mm:.0f} mm", f"image {lesion.image}"), lesion.rgb)
        for lesion in lesions
    )
    table = Table(("Segment", "Longest", "Most of it"), rows)
    return Section(f"Smaller ones: {len(lesions)}", columns=(Column(1.0, (table,)),))
