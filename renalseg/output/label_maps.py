"""Label maps as files, on the grid of their source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from renalseg.geometry import Array
from renalseg.intake.ct import CT
from renalseg.labels import MeasuredSegment, Segment
from renalseg.output import slicer
from renalseg.volumes.ct import CTVolume
from renalseg.volumes.files import FORMATS, save_map

SUFFIXES = tuple(FORMATS.values())
MASKS = "masks"
SLICER = "seg.nrrd"
MASK_SUFFIX = FORMATS["nifti"]
PROBABILITY_SUFFIX = f"_probability{FORMATS['nifti']}"

Labels = npt.NDArray[np.uint8]


def label_map(segmented: Labels, segments: Sequence[Segment]) -> Labels:
    """Turn segment numbers (X, Y, Z) into 0 background, 1 kidney, 2 tumor and 3 cyst."""
    kinds = np.zeros(256, np.uint8)
    for segment in segments:
        kinds[segment.number] = segment.kind
    return np.asarray(kinds[segmented])


def segment_suffix(label: str, suffix: str) -> str:
    """Give what the name of a segment's own file ends with, from the name of the segment."""
    return f"-{label.lower().replace(' ', '_')}{suffix}"


def maps_of(entry: Mapping[str, Any]) -> list[str]:
    """Give the names of the label maps of a study in result.json: no masks, no probabilities.

    Args:
        entry: What result.json says of the study.
    """
    labels = [str(segment.get("label")) for segment in entry["segments"]]
    masks = tuple(segment_suffix(label, MASK_SUFFIX) for label in labels)
    others = (*masks, PROBABILITY_SUFFIX, slicer.SUFFIX)
    return [
        name for name in entry["files"] if name.endswith(SUFFIXES) and not name.endswith(others)
    ]


def to_source(ct: CT, volume: Labels) -> tuple[Labels, Array]:
    """Bring a map from the grid of a CT's image to that of its volume, and give its affine.

    Args:
        ct: The source. A series has no other grid than that of its image.
        volume: (X, Y, Z) on the grid of the image.
    """
    if isinstance(ct, CTVolume):
        return ct.turn.back(volume), ct.turn.affine
    return volume, np.asarray(ct.image.affine, np.float64)


def write_maps(
    segmented: Labels,
    segments: Sequence[MeasuredSegment],
    affine: Array,
    outputs: Sequence[str],
    stem: Path,
) -> Iterator[str]:
    """Write what is asked for, and give the names of the files.

    Args:
        segmented: Segment numbers (X, Y, Z).
        segments: What was found.
        affine: (4, 4) of their grid, in RAS mm.
        outputs: Formats of the label map, `MASKS` for a file per segment, and `SLICER` for a
            segmentation of 3D Slicer.
        stem: Path of the files without what tells them apart.

    Raises:
        OSError: A file cannot be written.
    """
    for output in outputs:
        if output in FORMATS:
            path = stem.with_name(stem.name + FORMATS[output])
            save_map(label_map(segmented, segments), affine, path)
            yield path.name
        elif output == MASKS:
            for segment in segments:
                path = stem.with_name(stem.name + segment_suffix(segment.label, MASK_SUFFIX))
                save_map((segmented == segment.number).astype(np.uint8), affine, path)
                yield path.name
        elif output == SLICER:
            from renalseg.volumes.itk import save_itk  # as `save_map` does

            path = stem.with_name(stem.name + slicer.SUFFIX)
            save_itk(segmented, affine, path, slicer.slicer_keys(segmented, segments))
            yield path.name
