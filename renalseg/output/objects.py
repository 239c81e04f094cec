"""The DICOM objects that are made of one study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

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
from renalseg.findings.report_text import report_text
from renalseg.findings.sentences import USE, Correction, Judgment, Statement
from renalseg.labels import MeasuredSegment
from renalseg.output.earlier import Earlier
from renalseg.output.probabilities import Maps
from renalseg.settings import Settings

MADE = "Automatic segmentation and measures."
CORRECTED = "Segmentation corrected by a person, measured by a program."


def make_objects(
    series: CTSeries,
    segmented: npt.NDArray[np.uint8],
    segments: list[MeasuredSegment],
    judgment: Judgment,
    said: Sequence[Statement],
    settings: Settings,
    earlier: Earlier,
    comparison: Comparison | None = None,
    correction: Correction | None = None,
    probabilities: Maps = MappingProxyType({}),
) -> Iterator[tuple[str, Dataset]]:
    """Makes the objects that the settings ask for, each when it is its turn.

    Args:
        series: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        segments: What was found.
        judgment: What the result says about itself.
        said: What every object says, in its order.
        settings: What ran, and what is wanted.
        earlier: What the new objects supersede, or were compared with.
        comparison: What changed since.
        correction: What a person made of the findings.
        probabilities: Of lesions, if they are to be written.

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
    if probabilities:
        from renalseg.dicom.write.probability import build_probability

        built = build_probability(
            origin, {kind: series.to_slices(each) for kind, each in probabilities.items()}
        )
        say(built, said)
        yield "probability", built
    if "sr" in settings.outputs:
        from renalseg.dicom.write.sr import build_sr

        listed = () if comparison is None else (*comparison.kidneys, *comparison.lesions)
        yield (
            "sr",
            build_sr(
                origin,
                segments,
                judgment.phase,
                said,
                segmentation,
                earlier.reports,
                earlier.evidence,
                {change.number: change for change in listed},
                correction,
            ),
        )
    if "pdf" in settings.outputs:
        made = MADE if correction is None else CORRECTED
        text = report_text(segments, judgment, comparison)
        yield "pdf", _report(origin, segmented, segments, judgment, said, settings, made, text)
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
    judgment: Judgment,
    said: Sequence[Statement],
    settings: Settings,
    made: str,
    text: Mapping[str, str],
) -> Dataset:
    # matplotlib takes a third of a second to import: only where a page is drawn
    from renalseg.dicom.write.documents import build_pdf
    from renalseg.report.content import TITLE, Content
    from renalseg.report.facts import method_fact, study_facts
    from renalseg.report.pdf import draw_pages
    from renalseg.report.sections import sections_of

    series = origin.series
    content = Content(
        said,
        segments,
        judgment.phase,
        study_facts(series),
        method_fact(__version__, settings.choice.named_stages, series.input_hash),
        text,
        made,
    )
    sections = sections_of(content, series, segmented)
    return build_pdf(origin, draw_pages(content, sections, origin.created), TITLE)
