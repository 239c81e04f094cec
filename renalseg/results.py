"""What was found in a study, and the files that say so."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monai.data import MetaTensor

from renalseg import __version__
from renalseg.dicom.read import CTSeries
from renalseg.dicom.seg import build_seg
from renalseg.labels import KIDNEY, TUMOR, Segment
from renalseg.segments import split_segments
from renalseg.settings import Settings

RESULT_FILE = "result.json"
REFUSED = "refused"  # the finding where there is none
LEAST_DICE = 0.5  # a bundle below it, as its metadata says, runs with a warning


@dataclass(frozen=True)
class StudyResult:
    """What was found in a study, and what was written about it.

    Attributes:
        study: StudyInstanceUID.
        series: SeriesInstanceUID of the series that was processed; "" where all were refused.
        finding: "no kidney found", "no tumor found", "tumor found" or "refused".
        reason: Why the study was refused; None where it was not.
        segments: What the segmentation holds.
        files: Names of the files in the output folder.
        pictures: Pictures that were asked for, in a folder of their own.
        slices: Number of slices of the series.
        input_hash: Names the input by its UIDs and pixels.
        warnings: What is unusual about the study but was processed.
        seconds: Of each stage.
    """

    study: str
    series: str
    finding: str
    reason: str | None = None
    segments: tuple[Segment, ...] = ()
    files: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = ()
    slices: int = 0
    input_hash: str = ""
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The study's entry in result.json."""
        return {
            "study": self.study,
            "series": self.series,
            "finding": self.finding,
            "reason": self.reason,
            "segments": [asdict(segment) for segment in self.segments],
            "files": list(self.files),
            "pictures": [str(path) for path in self.pictures],
            "slices": self.slices,
            "input_hash": self.input_hash,
            "warnings": list(self.warnings),
            "seconds": {stage: round(value, 2) for stage, value in self.seconds.items()},
        }


def write_study(
    series: CTSeries,
    pred: MetaTensor,
    folder: Path,
    settings: Settings,
    timings: Mapping[str, float],
) -> StudyResult:
    """Writes ``<series>.seg.dcm``.

    Args:
        series: The source.
        pred: (1, X, Y, Z) uint8 on its grid.
        folder: Is there; its files reach the output folder when all studies are done.
        settings: What ran.
        timings: Seconds of the stages so far.

    Raises:
        OSError: The files cannot be written.
    """
    start = time.perf_counter()
    segmented, segments = split_segments(pred, series.image)
    header = series.headers[0]
    source = str(header.SeriesInstanceUID)
    names = []
    if segments:
        names.append(f"{source}.seg.dcm")
        seg = build_seg(
            series,
            series.to_slices(segmented),
            segments,
            algorithm=settings.algorithm,
            version=__version__,
        )
        seg.save_as(folder / names[0])
    pictures = []
    if settings.overlay is not None:
        from renalseg.overlay import save_overlay

        pictures.append(settings.overlay / f"{source}.png")
        save_overlay(series.image, segmented, segments, pictures[0])
    return StudyResult(
        study=str(header.get("StudyInstanceUID", "")),
        series=source,
        finding=_finding(segments),
        segments=tuple(segments),
        files=tuple(names),
        pictures=tuple(pictures),
        slices=len(series.headers),
        input_hash=series.input_hash,
        warnings=(*series.warnings, *weak_bundles(settings)),
        seconds={**timings, "write": time.perf_counter() - start},
    )


def weak_bundles(settings: Settings) -> list[str]:
    """What to say about bundles whose own measured Dice, in their metadata, is low.

    A method that finds no tumors where there are some must not let "no tumor found" stand alone.
    """
    said = []
    structures = {settings.localizer: "kidney", settings.tumor: "tumor"}
    for bundle, structure in structures.items():
        path = settings.bundles / bundle / "configs" / "metadata.json"
        try:
            metrics = json.loads(path.read_text()).get("eval_metrics", {})
        except (OSError, ValueError):
            continue  # the bundle itself says that it is broken, when it is loaded
        dice = metrics.get(f"{structure}_dice_unseen_synthetic", 1.0)
        if dice < LEAST_DICE:
            said.append(
                f"{bundle} reaches a {structure} Dice of {dice:.2f} on synthetic CTs: "
                "do not rely on what it finds or does not find"
            )
    return said


def _finding(segments: list[Segment]) -> str:
    kinds = {segment.kind for segment in segments}
    if TUMOR in kinds:
        return "tumor found"
    return "no tumor found" if KIDNEY in kinds else "no kidney found"
