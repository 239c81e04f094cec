"""The road with stand-ins for the models, which hold the settings that they are run with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from renalseg import pipeline
from renalseg.archive import Ended, segment_all
from renalseg.output.result import Result


def run_with(dicom_dir: Path, out_dir: Path, models: Any) -> Result:
    """As `pipeline.run`."""
    return pipeline.run(dicom_dir, out_dir, models, models.settings)


def segment_all_with(studies: Sequence[Path], out_root: Path, models: Any) -> Iterator[Ended]:
    """As `renalseg.archive.segment_all`."""
    return segment_all(studies, out_root, models, models.settings)
