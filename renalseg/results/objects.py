"""The DICOM objects that are made of one study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from renalseg import __version__
from renalseg.dicom.derived import PRODUCT, Origin, content_hash, say
from renalseg.dicom.read import CTSeries
from renalseg.dicom.seg import build_seg
from renalseg.labels import MeasuredSegment
from renalseg.results.earlier import Earlier
from renalseg.results.findings import USE, Statement
from renalseg.settings import Settings


def make_objects(
    series: CTSeries,
    segmented: npt.NDArray[np.uint8],
    segments: list[MeasuredSegment],
    said: Sequence[Statement],
    settings: Settings,
    earlier: Earlier,
) -> Iterator[tuple[str, Dataset]]:
    """Makes the objects that the settings ask for, each when it is its turn.

    Args:
        series: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        segments: What was found.
        said: What every object says, in its order.
        settings: What ran, and what is wanted.
        earlier: What the new objects supersede.

    Yields:
        The kind, one of `renalseg.settings.OUTPUTS`, and the object.
    """
    content = content_hash(segmented, [*map(repr, segments), *map(repr, said)])
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
                say(segmentation, said)
                yield kind, segmentation
    if "sr" in settings.outputs:
        from renalseg.dicom.sr import build_sr

        yield "sr", build_sr(origin, segments, said, segmentation, earlier.report)
    if "pdf" in settings.outputs:
        yield "pdf", _report(origin, segmented, segments, said, settings)
    if "sc" in settings.outputs:
        from renalseg.dicom.capture import build_capture
        from renalseg.report.overlay import overlay_pixels

        note = f"{PRODUCT} {__version__} {settings.algorithm}. {USE}"
        pixels = overlay_pixels(series.image, segmented, segments, said, note)
        capture = build_capture(origin, pixels)
        say(capture, said)
        yield "sc", capture


def _report(
    origin: Origin,
    segmented: npt.NDArray[np.uint8],
    segments: list[MeasuredSegment],
    said: Sequence[Statement],
    settings: Settings,
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
        created=origin.created,
        captions=captions(origin.series, view),
    )
    return build_pdf(origin, draw_page(facts, view, segments, said), TITLE)
