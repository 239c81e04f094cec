"""The DICOM objects that are made of one study."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from renalseg import __version__
from renalseg.dicom.derived import PRODUCT, Origin, content_hash
from renalseg.dicom.read import CTSeries
from renalseg.dicom.seg import build_seg
from renalseg.labels import MeasuredSegment
from renalseg.results.earlier import Earlier
from renalseg.results.findings import PHASES, USE, Judgment, finding
from renalseg.settings import Settings


def make_objects(
    series: CTSeries,
    segmented: npt.NDArray[np.uint8],
    segments: list[MeasuredSegment],
    judgment: Judgment,
    settings: Settings,
    warnings: tuple[str, ...],
    earlier: Earlier,
) -> Iterator[tuple[str, Dataset]]:
    """Makes the objects that the settings ask for, each when it is its turn.

    Args:
        series: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        segments: What was found.
        judgment: What the result says about itself.
        settings: What ran, and what is wanted.
        warnings: For the report.
        earlier: What the new objects supersede.

    Yields:
        The kind, one of `renalseg.settings.OUTPUTS`, and the object.
    """
    content = content_hash(segmented, (*map(repr, segments), repr(judgment), *warnings))
    origin = Origin(series, settings.algorithm, __version__, settings.software, content)
    segmentation: Dataset | None = None
    if segments:  # DICOM has no empty segmentation
        planes = series.to_slices(segmented)
        for kind in ("labelmap", "seg"):
            if kind in settings.outputs:
                segmentation = build_seg(
                    origin,
                    planes,
                    segments,
                    labelmap=kind == "labelmap",
                    empty_frames=settings.empty_frames,
                )
                yield kind, segmentation
    if "sr" in settings.outputs:
        from renalseg.dicom.sr import build_sr

        yield "sr", build_sr(origin, segments, judgment, segmentation, earlier.report)
    if "pdf" in settings.outputs:
        yield "pdf", _report(origin, segmented, segments, judgment, settings, warnings)
    if "sc" in settings.outputs:
        from renalseg.dicom.capture import build_capture
        from renalseg.report.overlay import overlay_pixels

        phase = PHASES[judgment.phase]
        note = f"{finding(segments)}. {phase} {PRODUCT} {__version__} {settings.algorithm}. {USE}"
        yield (
            "sc",
            build_capture(origin, overlay_pixels(series.image, segmented, segments, note)),
        )


def _report(
    origin: Origin,
    segmented: npt.NDArray[np.uint8],
    segments: list[MeasuredSegment],
    judgment: Judgment,
    settings: Settings,
    warnings: tuple[str, ...],
) -> Dataset:
    # matplotlib takes a third of a second to import: only where a page is drawn
    from renalseg.dicom.pdf import build_pdf
    from renalseg.report.facts import captions, method_fact, study_facts
    from renalseg.report.page import TITLE, Facts, draw_page
    from renalseg.report.view import look

    view = look(origin.series.image, segmented, segments)
    facts = Facts(
        study=study_facts(origin.series),
        method=method_fact(origin.series, settings),
        warnings=warnings,
        created=origin.created,
        captions=captions(origin.series, view),
    )
    return build_pdf(origin, draw_page(facts, view, segments, judgment), TITLE)
