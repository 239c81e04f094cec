"""What a page says of a study: from its entry in result.json and the headers of its series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from renalseg.dicom.derived import PRODUCT
from renalseg.dicom.read import CTSeries
from renalseg.labels import MeasuredSegment, Segment, Side, Third
from renalseg.report.facts import study_facts
from renalseg.report.html.page import Content, make_page
from renalseg.report.page import MEASURES
from renalseg.results.findings import sentences
from renalseg.results.staging import staging

Entry = Mapping[str, Any]
S = TypeVar("S", bound=Segment)
# A page is easily passed on, and without the study's own protection: nothing that names a patient.
_SHOWN = ("Study date", "Slices", "Pixels")


def save_page(
    series: CTSeries, segmented: npt.NDArray[np.uint8], entry: Entry, run: Entry, path: Path
) -> None:
    """Writes the page of a study, all of it or nothing.

    Args:
        series: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        entry: What result.json says of the study.
        run: What it says of the run: "version", "localizer", "tumor".
        path: The file; its folder is made.

    Raises:
        OSError: It cannot be written.
    """
    segments = segments_of(entry)
    page = make_page(_content(series, entry, run, segments), series.image, segmented, segments)
    path.parent.mkdir(parents=True, exist_ok=True)
    with staging(path.parent) as place:  # a full disk leaves no half of a page
        (place.files / path.name).write_text(page, encoding="utf-8")
        (place.files / path.name).replace(path)


def segments_of(entry: Entry) -> Sequence[Segment]:
    """The segments that result.json lists, with their measures where it has all of them."""
    found = entry.get("segments", ())
    try:
        return [_build(MeasuredSegment, each) for each in found]
    except TypeError:  # of a version that did not measure
        return [_build(Segment, each) for each in found]


def _build(kind: type[S], stored: Entry) -> S:
    known = {field.name for field in fields(kind)}
    values = {name: value for name, value in stored.items() if name in known}
    values["side"] = Side(values["side"])
    if values.get("third") is not None:
        values["third"] = Third(values["third"])
    return kind(**values)


def _content(series: CTSeries, entry: Entry, run: Entry, segments: Sequence[Segment]) -> Content:
    measured = [segment for segment in segments if isinstance(segment, MeasuredSegment)]
    whole = len(measured) == len(segments)
    known = study_facts(series)
    return Content(
        sentence=sentences(measured) if whole else f"{entry['finding'].capitalize()}.",
        facts={
            **{name: known[name] for name in _SHOWN if name in known},
            "Study": str(entry["study"]),
            "Series": str(entry["series"]),
            "Method": f"{PRODUCT} {run['version']}, {run['localizer']} and {run['tumor']}",
            "Input": str(entry["input_hash"])[:16],
        },
        segments=entry.get("segments", ()),
        warnings=entry.get("warnings", ()),
        about=MEASURES,
    )
