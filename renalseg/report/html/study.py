"""The page of a study, from its entry in result.json and its CT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from renalseg.intake.ct import CT
from renalseg.labels import ContrastPhase
from renalseg.report.content import Content
from renalseg.report.entries import segments_of, stages_of, statements_of
from renalseg.report.facts import method_fact, study_facts
from renalseg.report.html.page import make_page
from renalseg.runtime.staging import complete_file

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
    page = make_page(_content(ct, entry, run), ct, segmented)
    with complete_file(path) as file:  # a full disk leaves no half of a page
        file.write_text(page, encoding="utf-8")


def _content(ct: CT, entry: Entry, run: Entry) -> Content:
    known = study_facts(ct)
    return Content(
        said=statements_of(entry),
        segments=segments_of(entry),
        phase=ContrastPhase(entry.get("phase", ContrastPhase.UNKNOWN)),
        facts={
            **{name: known[name] for name in _SHOWN if name in known},
            "Study": str(entry["study"]),
            "Series": str(entry["series"]),
        },
        method=method_fact(str(run["version"]), stages_of(run), str(entry["input_hash"])),
        text=entry.get("text", {}),
    )
