"""A program in the place of the application: it writes a small valid SEG for any CT, and fast.

    python standin.py INPUT OUTPUT [SECONDS] [LOG]

It waits SECONDS before it writes, and notes each start and end in LOG with the UID of the series.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from pydicom.sr.codedict import codes

from renalseg.dicom.tags import derive_uid


def build(folder: Path) -> Segmentation:
    """Mark a block in the middle of a series; the same series gives the same object."""
    slices = [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
    slices.sort(key=lambda item: int(item.InstanceNumber))
    content = hashlib.sha256(b"".join(item.PixelData for item in slices)).hexdigest()
    rows, columns = slices[0].Rows, slices[0].Columns
    mask = np.zeros((len(slices), rows, columns), np.uint8)
    mask[len(slices) // 2, rows // 4 : rows // 2, columns // 4 : columns // 2] = 1
    description = SegmentDescription(
        segment_number=1,
        segment_label="Left kidney",
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=codes.SCT.Kidney,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            "stand-in", codes.DCM.ArtificialIntelligence, "1"
        ),
    )
    return Segmentation(
        source_images=slices,
        pixel_array=mask,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=derive_uid("stand-in series", content),
        series_number=900,
        sop_instance_uid=derive_uid("stand-in", content),
        instance_number=1,
        manufacturer="RenalSeg",
        manufacturer_model_name="stand-in",
        software_versions="1",
        device_serial_number="1",
    )


def note(log: Path | None, text: str) -> None:
    """Add a line, whole even if several programs write."""
    if log is not None:
        with log.open("ab", buffering=0) as file:
            file.write(f"{text} {os.getpid()} {time.time():.3f}\n".encode())


def main(source: Path, out: Path, seconds: float = 0, log: Path | None = None) -> None:
    """Do what the application does, as far as the worker can see."""
    seg = build(source)
    uid = seg.ReferencedSeriesSequence[0].SeriesInstanceUID
    note(log, f"start {uid}")
    time.sleep(seconds)
    out.mkdir(parents=True, exist_ok=True)
    name = f"{uid}.seg.dcm"
    seg.save_as(out / name)
    study = {"finding": "no tumor found", "files": [name]}
    (out / "result.json").write_text(json.dumps({"studies": [study]}))
    note(log, f"end {uid}")


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        float(sys.argv[3]) if len(sys.argv) > 3 else 0,
        Path(sys.argv[4]) if len(sys.argv) > 4 else None,
    )
