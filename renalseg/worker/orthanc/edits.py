"""Segmentations that a person edited in a viewer, among those that arrive.

Viewers keep neither names nor UIDs. So an edit is known by its CT, which has a result, and by a
segment that was not made by a program alone.
"""

from __future__ import annotations

from renalseg.errors import plural
from renalseg.worker.job import Job
from renalseg.worker.jobs import Jobs
from renalseg.worker.orthanc.client import Orthanc, Series

_REFERENCED_SERIES, _SERIES_UID = "0008-1115", "0020-000e"
_SEGMENTS, _ALGORITHM_TYPE = "0062-0002", "0062-0008"


def source_of(series: Series, orthanc: Orthanc, jobs: Jobs) -> Job | str:
    """The job of the CT whose result a person edited, or why a segmentation is no such edit.

    Args:
        series: Of the segmentation, which another program wrote.
        orthanc: Has it.
        jobs: Know which series have a result.
    """
    if len(series.instances) != 1:
        return f"{plural(len(series.instances), 'segmentation')}, expected one"
    (name,) = series.instances
    source = jobs.last_of_series(orthanc.value(name, _REFERENCED_SERIES, "0", _SERIES_UID))
    if source is None:
        return "a segmentation of no series with a result"
    numbers = range(orthanc.items(name, _SEGMENTS))
    made = (orthanc.value(name, _SEGMENTS, str(number), _ALGORITHM_TYPE) for number in numbers)
    if all(kind == "AUTOMATIC" for kind in made):
        return "a segmentation by a program"
    return source
