"""What a run found in a study, and the files that say so."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monai.data import MetaTensor

from renalseg import __version__
from renalseg.dicom.read import CTSeries
from renalseg.earlier import RESULT_FILE, Earlier, find_earlier, remove_stale
from renalseg.findings import finding
from renalseg.labels import MeasuredSegment
from renalseg.measurements import measure
from renalseg.objects import make_objects
from renalseg.output import complete_or_nothing
from renalseg.segments import split_segments
from renalseg.settings import Settings

LEAST_DICE = 0.5  # a bundle below it, as its metadata says, runs with a warning


@dataclass(frozen=True)
class StudyResult:
    """What was found in a study, and what was written.

    Attributes:
        study: StudyInstanceUID.
        series: SeriesInstanceUID of the source.
        finding: "no kidney found", "no tumor found" or "tumor found".
        segments: What the segmentation holds, measured.
        files: Names of the files.
        pictures: Pictures that were asked for, in a folder of their own.
        slices: Number of source slices.
        input_hash: Of the source; another one supersedes this result.
        supersedes: SOP Instance UIDs of the objects that these take the place of.
        warnings: For people.
        seconds: Of each stage.
    """

    study: str
    series: str
    finding: str
    segments: tuple[MeasuredSegment, ...]
    files: tuple[str, ...]
    pictures: tuple[Path, ...]
    slices: int
    input_hash: str
    supersedes: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """What result.json says about the study."""
        seconds = {stage: round(value, 2) for stage, value in self.seconds.items()}
        pictures = [str(path) for path in self.pictures]
        return {**asdict(self), "pictures": pictures, "seconds": seconds}


@dataclass(frozen=True)
class Result:
    """What a run found and wrote.

    Attributes:
        finding: "no kidney found", "no tumor found" or "tumor found".
        segments: What the segmentation holds.
        files: The files, result.json last.
        pictures: Pictures that were asked for, in a folder of their own.
        seconds: Of each stage.
        details: Everything else that result.json says.
    """

    finding: str
    segments: tuple[MeasuredSegment, ...]
    files: tuple[Path, ...]
    pictures: tuple[Path, ...]
    seconds: Mapping[str, float]
    details: Mapping[str, Any]

    def to_json(self) -> str:
        """The text of result.json."""
        content = {
            "finding": self.finding,
            "segments": [asdict(segment) for segment in self.segments],
            "files": [path.name for path in self.files],
            "pictures": [str(path) for path in self.pictures],
            "seconds": {stage: round(value, 2) for stage, value in self.seconds.items()},
            **self.details,
        }
        return json.dumps(content, indent=2) + "\n"


def write_results(
    series: CTSeries,
    pred: MetaTensor,
    out_dir: Path,
    settings: Settings,
    timings: Mapping[str, float],
) -> Result:
    """Writes the files of a study and result.json, all or none.

    Args:
        series: The source.
        pred: (1, X, Y, Z) uint8 on its grid.
        out_dir: Made if it is not there.
        settings: What ran.
        timings: Seconds of the stages so far.

    Raises:
        OSError: The files cannot be written; the folder is then as it was.
    """
    earlier = find_earlier(out_dir, series)
    with complete_or_nothing(out_dir) as folder:
        study = write_study(series, pred, folder, settings, timings, earlier=earlier)
        result = Result(
            finding=study.finding,
            segments=study.segments,
            files=tuple(out_dir / name for name in (*study.files, RESULT_FILE)),
            pictures=study.pictures,
            seconds=study.seconds,
            details=_details(series, settings, study),
        )
        (folder / RESULT_FILE).write_text(result.to_json())
    remove_stale(out_dir, earlier, set(study.files))
    return result


def write_study(
    series: CTSeries,
    pred: MetaTensor,
    folder: Path,
    settings: Settings,
    timings: Mapping[str, float],
    *,
    earlier: Earlier | None = None,
) -> StudyResult:
    """Writes the files of one study, named by its series, into a folder that is there.

    Args:
        series: The source.
        pred: (1, X, Y, Z) uint8 on its grid.
        folder: Gets what the settings ask for; the caller makes it appear as a whole.
        settings: What ran.
        timings: Seconds of the stages so far.
        earlier: What the final folder holds of this series.

    Raises:
        OSError: A file cannot be written.
    """
    start = time.perf_counter()
    earlier = earlier or Earlier()
    segmented, found = split_segments(pred, series.image)
    segments = measure(series.image, segmented, found)
    source = str(series.headers[0].SeriesInstanceUID)
    warnings = (*series.warnings, *weak_bundles(settings))
    files = []
    for kind, built in make_objects(series, segmented, segments, settings, warnings, earlier):
        files.append(f"{source}.{kind}.dcm")
        built.save_as(folder / files[-1])
    pictures = []
    if settings.overlay is not None:
        from renalseg.overlay import save_overlay

        pictures.append(settings.overlay / f"{source}.png")
        save_overlay(series.image, segmented, segments, pictures[0])
    return StudyResult(
        study=str(series.headers[0].get("StudyInstanceUID", "")),
        series=source,
        finding=finding(segments),
        segments=tuple(segments),
        files=tuple(files),
        pictures=tuple(pictures),
        slices=len(series.headers),
        input_hash=series.input_hash,
        supersedes=earlier.supersedes,
        warnings=warnings,
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


def _details(series: CTSeries, settings: Settings, study: StudyResult) -> dict[str, Any]:
    return {
        "version": __version__,
        "use": "research use only",
        "localizer": settings.localizer,
        "tumor": settings.tumor,
        "device": str(settings.device),
        "study": study.study,
        "series": study.series,
        "slices": study.slices,
        "input_hash": study.input_hash,
        "supersedes": list(study.supersedes),
        "warnings": list(study.warnings),
        "skipped": dict(series.skipped),
    }
