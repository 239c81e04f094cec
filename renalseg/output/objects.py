"""The DICOM objects that are made of one study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from renalseg import __version__
from renalseg.dicom.read.series import CTSeries
from renalseg.dicom.write.derived import (
    PRODUCT,
    SHORT_TEXT,
    Origin,
    content_hash,
    said_within,
    say,
)
from renalseg.dicom.write.seg import build_seg
from renalseg.findings.followup.comparison import Comparison
from renalseg.findings.sentences import PHASES, USE, Correction, Statement
from renalseg.labels import ContrastPhase, MeasuredSegment
from renalseg.output.earlier import Earlier
from renalseg.settings import Settings

MADE = "Automatic segmentation and measures."
CORRECTED = "Segmentation corrected by a person, measured by a program."


def make_objects(
    series: CTSeries,
    segmented: npt.NDArray[np.uint8],
    segments: list[MeasuredSegment],
    phase: ContrastPhase,
    said: Sequence[Statement],
    settings: Settings,
    earlier: Earlier,
    comparison: Comparison | None = None,
    correction: Correction | None = None,
) -> Iterator[tuple[str, Dataset]]:
    """Makes the objects that the settings ask for, each when it is its turn.

    Args:
        series: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        segments: What was found.
        phase: Contrast phase, as the pixels show it.
        said: What every object says, in its order.
        settings: What ran, and what is wanted.
        earlier: What the new objects supersede, or were compared with.
        comparison: What changed since.
        correction: What a person made of the findings.

    Yields:
        The kind, one of `renalseg.settings.OUTPUTS`, and the object.
    """
    content = content_hash(segmented, [*map(repr, segments), *map(repr, said)])
    origin = Origin(
        series, settings.choice.algorithm, __version__, settings.choice.software, content
    )
    segmentation: Dataset | None = None
    if segments:  # DICOM has no empty segmentation or structure set
        planes = series.to_slices(segmented)
        for kind in ("labelmap", "seg"):
            if kind in settings.outputs:
                segmentation = build_seg(
                    origin,
                    planes,
                    segments,
                    labelmap=kind == "labelmap",
                    empty_frames=settings.empty_frames,
                    corrected=correction is not None,
                )
                say(segmentation, said)
                yield kind, segmentation
        if "rtstruct" in settings.outputs:
            from renalseg.dicom.write.rtstruct import build_rtstruct

            structures = build_rtstruct(origin, planes, segments)
            structures.StructureSetDescription = said_within(SHORT_TEXT, said)
            yield "rtstruct", structures
    if "sr" in settings.outputs:
        from renalseg.dicom.write.sr import build_sr

        listed = () if comparison is None else (*comparison.kidneys, *comparison.lesions)
        yield (
            "sr",
            build_sr(
                origin,
                segments,
                phase,
                said,
                segmentation,
                earlier.report,
                earlier.evidence,
                {change.number: change for change in listed},
                correction,
            ),
        )
    if "pdf" in settings.outputs:
        made = MADE if correction is None else CORRECTED
        yield "pdf", _report(origin, segmented, segments, phase, said, settings, made)
    if "sc" in settings.outputs:
        from renalseg.dicom.write.documents import build_capture
        from renalseg.report.overlay import Picture, overlay_pixels

        picture = Picture(series, segmented, segments, said, note(settings))
        capture = build_capture(origin, overlay_pixels(picture))
        say(capture, said)
        yield "sc", capture


def note(settings: Settings) -> str:
    """Say below a picture what made it, and what it may be used for."""
    return f"{PRODUCT} {__version__} {settings.choice.algorithm}. {USE}"


def _report(
    origin: Origin,
    segmented: npt.NDArray[np.uint8],
    segments: list[MeasuredSegment],
    phase: ContrastPhase,
    said: Sequence[Statement],
    settings: Settings,
    made: str,
) -> Dataset:
    # matplotlib takes a third of a second to import: only where a page is drawn
    from renalseg.dicom.write.documents import build_pdf
    from renalseg.report.facts import method_fact, study_facts
    from renalseg.report.panels import about_window, choose_panels
    from renalseg.report.pdf import TITLE, Facts, draw_page
    from renalseg.report.view import AXIAL, CORONAL, SAGITTAL, look

    view = look(origin.series.image, segmented)
    panels = choose_panels(view, segments, (AXIAL, CORONAL, SAGITTAL), origin.series)
    facts = Facts(
        study=study_facts(origin.series),
        phase=PHASES[phase],
        method=method_fact(origin.series, settings),
        pictures=about_window(),
        created=origin.created,
        made=made,
    )
    return build_pdf(origin, draw_page(facts, view, panels, segments, said), TITLE)
