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
from renalseg.dicom.damage import damage_refused
from renalseg.dicom.read import CTSeries
from renalseg.dicom.seg import build_seg
from renalseg.labels import KIDNEY, TUMOR, Segment
from renalseg.output import complete_or_nothing
from renalseg.segments import split_segments
from renalseg.settings import Settings

RESULT_FILE = "result.json"
LEAST_DICE = 0.5  # a bundle below it, as its metadata says, runs with a warning


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
    segments: tuple[Segment, ...]
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


@damage_refused("the results cannot be made from the headers of their source")
def write_results(
    series: CTSeries,
    pred: MetaTensor,
    out_dir: Path,
    settings: Settings,
    timings: Mapping[str, float],
) -> Result:
    """Writes ``<series>.seg.dcm`` and result.json, both or none.

    Args:
        series: The source.
        pred: (1, X, Y, Z) uint8 on its grid.
        out_dir: Made if it is not there.
        settings: What ran.
        timings: Seconds of the stages so far.

    Raises:
        OSError: The files cannot be written; the folder is then as it was.
    """
    start = time.perf_counter()
    segmented, segments = split_segments(pred, series.image)
    source = str(series.headers[0].SeriesInstanceUID)
    with complete_or_nothing(out_dir) as folder:
        names = []
        if segments:
            names.append(f"{source}.seg.dcm")
            seg = build_seg(
                series, segmented, segments, algorithm=settings.algorithm, version=__version__
            )
            seg.save_as(folder / names[0])
        pictures = []
        if settings.overlay is not None:
            from renalseg.overlay import save_overlay

            pictures.append(settings.overlay / f"{source}.png")
            save_overlay(series.image, segmented, segments, pictures[0])
        result = Result(
            finding=_finding(segments),
            segments=tuple(segments),
            files=tuple(out_dir / name for name in (*names, RESULT_FILE)),
            pictures=tuple(pictures),
            seconds={**timings, "write": time.perf_counter() - start},
            details=_details(series, settings),
        )
        (folder / RESULT_FILE).write_text(result.to_json())
    return result


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


def _details(series: CTSeries, settings: Settings) -> dict[str, Any]:
    header = series.headers[0]
    return {
        "version": __version__,
        "use": "research use only",
        "localizer": settings.localizer,
        "tumor": settings.tumor,
        "device": str(settings.device),
        "study": str(header.get("StudyInstanceUID", "")),
        "series": str(header.SeriesInstanceUID),
        "slices": len(series.headers),
        "input_hash": series.input_hash,
        "warnings": [*series.warnings, *weak_bundles(settings)],
        "skipped": dict(series.skipped),
    }
