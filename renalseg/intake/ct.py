"""The CT of a study, read into memory."""

from __future__ import annotations

from renalseg.dicom.read.series import CTSeries, read_best
from renalseg.intake.folders import AnyStudy, Progress
from renalseg.intake.volumes import VolumeOutcome
from renalseg.volumes.ct import CTVolume, read_ct

CT = CTSeries | CTVolume
"""A CT in memory, wherever it came from."""


def read_study(study: AnyStudy, *, progress: Progress | None = None) -> CT:
    """Read the CT of a study: the series that suits best, or the volume.

    Args:
        study: What is planned for it; learns what proves unusable.
        progress: Called after each slice of a series with the number of slices loaded and their
            total.

    Raises:
        InputError: None can be processed.
        RetryableError: If memory ran out.
    """
    if isinstance(study, VolumeOutcome):
        volume = study.left
        return read_ct(volume.to_read(), volume.study, volume.file)
    return read_best(study, progress=progress)
