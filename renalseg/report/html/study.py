"""The page of a study, from its entry in result.json and its CT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from renalseg.dicom.write.derived import PRODUCT
from renalseg.intake.ct import CT
from renalseg.report.entries import segments_of, stages_of, statements_of
from renalseg.report.facts import study_facts
from renalseg.report.html.page import Content, make_page
from renalseg.report.pdf import MEASURES
from renalseg.runtime.staging import staging

Entry = Mapping[str, Any]
# A page is easily passed on, and without the study's own protection: nothing that names a patient.
_SHOWN = ("Study date", "Slices", "Pixels")


def save_page(
    ct: CT, segmented: npt.NDArray[np.uint8], entry: Entry, run: Entry, path: Path
) -> None:
    """Writes the page of a study, all of it or nothing.

    Args:
        ct: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        entry: What result.json says of the study.
        run: What it says of the run: "version", and the bundles of its stages.
        path: The file; its folder is made.

    Raises:
        OSError: It cannot be written.
    """
    segments = segments_of(entry)
    page = make_page(_content(ct, entry, run), ct, segmented, segments)
    path.parent.mkdir(parents=True, exist_ok=True)
    with staging(path.parent) as place:  # a full disk leaves no half of a page
        (place.files / path.name).write_text(page, encoding="utf-8")
        (place.files / path.name).replace(path)


def _content(ct: CT, entry: Entry, run: Entry) -> Content:
    known = study_facts(ct)
    return Content(
        said=statements_of(entry),
        facts={
            **{name: known[name] for name in _SHOWN if name in known},
            "Study": str(entry["study"]),
            "Series": str(entry["series"]),
            "Method": f"{PRODUCT} {run['version']}: {', '.join(stages_of(run))}",
            "Input": str(entry["input_hash"])[:16],
        },
        segments=entry["segments"],
        about=MEASURES,
        text=entry.get("text", {}),
    )
