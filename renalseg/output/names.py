"""File names of a result."""

from __future__ import annotations

import hashlib

from renalseg.dicom.uids import is_uid
from renalseg.errors import InputError

_DIGITS = 8  # of the study's hash: two studies that share a series UID are few


def file_stem(study: str, series: str) -> str:
    """Return the common stem of all files of a series.

    Args:
        study: StudyInstanceUID.
        series: SeriesInstanceUID.

    Returns:
        The SeriesInstanceUID and a hash of the StudyInstanceUID, since two studies may share the
        former. The same UIDs give the same name in every run.

    Raises:
        InputError: One of them is no UID, and might lead to another folder.
    """
    for keyword, uid in (("StudyInstanceUID", study), ("SeriesInstanceUID", series)):
        if not is_uid(uid):
            raise InputError(f"{keyword} should be digits and dots, 64 at most, found other text")
    digest = hashlib.sha256(study.encode()).hexdigest()
    return f"{series}-{digest[:_DIGITS]}"
