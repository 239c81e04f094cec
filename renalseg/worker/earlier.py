"""Results of earlier jobs: the last one of a patient, and how one is read again.

The server has their objects; the database has their result.json, without which they cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from renalseg.errors import InputError
from renalseg.output.folder import RESULT_FILE, read_result
from renalseg.worker.job import Job
from renalseg.worker.jobs import Jobs
from renalseg.worker.server import Server


class EarlierResults:
    """Finds and fetches results of earlier jobs.

    Args:
        server: Has their objects.
        jobs: Know them.
    """

    def __init__(self, server: Server, jobs: Jobs) -> None:
        self.server = server
        self.jobs = jobs

    def prior(self, job: Job) -> Job | None:
        """The newest job of the last earlier study of the same patient; None if there is none."""
        studies = {study.uid: study.date for study in self.server.studies_of_patient(job.series)}
        today = studies.get(job.study_uid, "")
        before = sorted((date, uid) for uid, date in studies.items() if "" < date < today)
        found = (self.jobs.last_of_study(uid) for _, uid in reversed(before))
        return next((prior for prior in found if prior is not None), None)

    def fetch(self, job: Job, folder: Path) -> None:
        """Writes the result of a job to a folder, as the job had written it.

        Raises:
            InputError: It cannot be read again.
            GoneError: An object was deleted.
            OSError: A file cannot be written.
        """
        folder.mkdir(mode=0o700)
        (folder / RESULT_FILE).write_text(self.jobs.result(job.id) or "", encoding="utf-8")
        names = object_names(read_result(folder)["studies"])
        if len(names) != len(job.results):
            raise InputError(f"Expected {len(names)} results of job {job.id}, found others")
        for name, instance in zip(names, job.results, strict=True):
            self.server.fetch(self.server.instance(instance), folder / name)


def object_names(studies: Iterable[dict[str, list[str]]]) -> list[str]:
    """The names of the objects of a result, in the order in which they are stored.

    Raises:
        InputError: There are none, or they are no names of different files.
    """
    try:
        listed = [name for study in studies for name in study["files"]]
        names = [name for name in listed if isinstance(name, str) and Path(name).name == name]
    except (KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"Expected the files of each study in {RESULT_FILE}, found none"
        ) from error
    if len(names) != len(listed) or len(set(names)) != len(names):
        raise InputError(f"Expected names of different files in {RESULT_FILE}, found others")
    return sorted(names)
