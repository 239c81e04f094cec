"""Polls a DICOMweb server for new series, and makes jobs of them.

DICOMweb has no log of changes. So the worker searches for the studies of the last days, and notes
of each CT series how many files it has. A series whose number has not changed for a while is
complete. The day up to which a search was complete is kept: after an outage the next search starts
before that day.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta

from renalseg.worker.dicomweb.client import DicomWeb
from renalseg.worker.http import AnswerError, GoneError
from renalseg.worker.job import Arrival
from renalseg.worker.jobs import Jobs, Seen
from renalseg.worker.rules import Rule, content_hash

_log = logging.getLogger(__name__)


class Feed:
    """Searches for what is new.

    Args:
        server: The server.
        jobs: Stores them, what was seen, and the day of the last search.
        rule: Which series are accepted.
        settle: Seconds after which a series that has not grown is complete.
        days: By how many days a StudyDate may lie before the day of the last search.
        backlog: Whether the first search takes what is already there in these days.
        today: The present day.

    Attributes:
        go_on: Called between studies; False ends the call early.
    """

    def __init__(
        self,
        server: DicomWeb,
        jobs: Jobs,
        rule: Rule,
        *,
        settle: float,
        days: int = 2,
        backlog: bool = False,
        today: Callable[[], date] = date.today,
    ) -> None:
        self.server = server
        self.jobs = jobs
        self.rule = rule
        self.settle = settle
        self.days = days
        self.backlog = backlog
        self.today = today
        self.go_on: Callable[[], bool] = lambda: True
        self._quiet: dict[str, str] = {}  # files of each study in which nothing was open

    def poll(self) -> list[int]:
        """Searches once.

        Returns:
            Numbers of the new jobs.

        Raises:
            RenalSegError: The server does not answer; the next call searches again.
        """
        mark, today = self._mark(), self.today()
        since = min(mark or today, today) - timedelta(days=self.days)
        first = mark is None and not self.backlog
        found = {
            study["StudyInstanceUID"]: study.get("NumberOfStudyRelatedInstances", "")
            for study in self.server.studies(f"{since:%Y%m%d}")
        }
        # Those that are growing stay, also when the next searches begin after their day.
        growing = {name.partition("/")[0] for name in self.jobs.growing()}
        new: list[int] = []
        for study in (*found, *(growing - found.keys())):
            if not self.go_on():
                return new
            files = found.get(study, "")
            if study in growing or not files or self._quiet.get(study) != files:
                new += self._look_at(study, first)
                self._quiet[study] = files
        self.jobs.take_in(int(f"{today:%Y%m%d}"))
        return new

    def _mark(self) -> date | None:
        """The day of the last complete search; None before the first."""
        try:
            return datetime.strptime(str(self.jobs.cursor()), "%Y%m%d").date()
        except ValueError:
            return None

    def _look_at(self, study: str, first: bool) -> list[int]:
        """Notes how each series of a study has grown, and makes jobs of those that are complete.

        Args:
            study: Its UID.
            first: Whether series that were never seen were there before the worker.
        """
        new: list[int] = []
        gone = {name for name in self.jobs.growing() if name.startswith(f"{study}/")}
        for found in self.server.series(study):
            name, now = f"{study}/{found['SeriesInstanceUID']}", self.jobs.clock()
            gone.discard(name)
            known = self.jobs.seen(name)
            try:
                files = self._files(name, found)
                if known is None or known.files != files:
                    arrivals, done = [], first and known is None
                elif known.done or 0 <= now - known.since < self.settle:
                    continue
                else:
                    arrivals, done = self._arrivals(name, files), True
            except (AnswerError, GoneError) as error:
                _log.warning("series %s is set aside for now: %s", name, error)
                arrivals, files, done = [], known.files if known else 0, False
            new += self.jobs.take_in(None, arrivals, seen=Seen(name, files, now, done))
        for name in gone:
            self.jobs.take_in(None, seen=Seen(name, 0, self.jobs.clock(), done=True))
        return new

    def _files(self, name: str, found: Mapping[str, str]) -> int:
        said = found.get("NumberOfSeriesRelatedInstances", "")
        return int(said) if said.isdigit() else len(self.server.instances(name))

    def _arrivals(self, name: str, files: int) -> list[Arrival]:
        """The job of a complete series; none if a rule objects.

        Raises:
            AnswerError: The number of its files is not the one that was noted.
        """
        instances = self.server.instances(name)
        if len(instances) != files or not instances:
            raise AnswerError(f"expected {files} files, found {len(instances)}")
        tags, size = self.server.sample(instances[len(instances) // 2])
        objection = self.rule.objection(tags, files)
        if objection:
            _log.info("series %s is skipped: %s", name, objection)
            return []
        study, _, series = name.partition("/")
        return [
            Arrival(
                series=name, series_uid=series, study_uid=study, slices=files, bytes=files * size,
                input_hash=content_hash(instances),
            )
        ]  # fmt: skip
