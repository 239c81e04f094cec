"""Turns Orthanc's change log into jobs.

Orthanc reports StableSeries when no instance of a series has arrived for its StableAge. It omits
the report if it is restarted before that time, and repeats it when slices arrive late. So every new
instance is noted, and removed once its series has been examined; the worker asks about the
remaining ones after a while.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from renalseg.worker.http import AnswerError, FormError, GoneError
from renalseg.worker.job import Arrival, Job
from renalseg.worker.jobs import Jobs
from renalseg.worker.orthanc.bookmark import Bookmark
from renalseg.worker.orthanc.client import Orthanc, Series
from renalseg.worker.orthanc.edits import source_of
from renalseg.worker.rules import Rule, content_hash, is_own

SETTLE_SECONDS = 300.0
"""More than Orthanc's StableAge, which is 60 by default."""

_PATIENCE = 3  # polls that wait for one series before the others continue without it
_log = logging.getLogger(__name__)


class Feed:
    """Reads the log and makes jobs.

    Args:
        orthanc: The server.
        jobs: Stores them and the position in the log.
        rule: Which series are accepted.
        settle: Seconds after which Orthanc is asked about an instance without further news.
        backlog: Whether the first call starts with what is already in Orthanc.
        corrections: Whether segmentations that a person edited are taken, too.

    Attributes:
        go_on: Called between parts of the log, each noted as read; False ends the call early.
    """

    def __init__(
        self,
        orthanc: Orthanc,
        jobs: Jobs,
        rule: Rule,
        *,
        settle: float = SETTLE_SECONDS,
        backlog: bool = False,
        corrections: bool = False,
    ) -> None:
        self.orthanc = orthanc
        self.jobs = jobs
        self.rule = rule
        self.settle = settle
        self.backlog = backlog
        self.corrections = corrections
        self.go_on: Callable[[], bool] = lambda: True
        self._bookmark = Bookmark(orthanc, jobs)
        self._failures: Counter[str] = Counter()
        self._missing: set[str] = set()

    def poll(self) -> list[int]:
        """Reads everything new.

        Returns:
            Numbers of the new jobs.

        Raises:
            RenalSegError: Orthanc does not answer; the next call continues there.
        """
        cursor = self._bookmark.find(backlog=self.backlog)
        new: list[int] = []
        done = False
        while not done and self.go_on():
            page = self.orthanc.changes(cursor)
            came = [change.id for change in page.changes if change.kind == "NewInstance"]
            stable = dict.fromkeys(
                change.id for change in page.changes if change.kind == "StableSeries"
            )
            arrivals, settled = self._look_at(stable)
            cursor, done = page.last, page.done or not page.changes
            point = page.changes[-1] if page.changes else None
            new += self.jobs.take_in(cursor, arrivals, arrived=came, settled=settled, point=point)
        return new + self._ask_for_silent(cursor)

    def _look_at(self, names: dict[str, None]) -> tuple[list[Arrival], list[str]]:
        """Returns the series that become jobs, and the instances of all complete series."""
        arrivals: list[Arrival] = []
        settled: list[str] = []
        for name in names:
            try:
                series = self.orthanc.series(name)
                if not series.stable:
                    continue  # more slices arrived since; it will be reported again
                arrival = self._arrival(series)
            except GoneError:
                continue
            except AnswerError as error:
                self._put_aside(name, error)
                continue
            self._failures.pop(name, None)
            settled += series.instances
            if arrival is not None:
                arrivals.append(arrival)
        return arrivals, settled

    def _put_aside(self, name: str, error: AnswerError) -> None:
        """Continues with the others if Orthanc keeps failing for one series or instance.

        Its instances stay on the list, so it is requested again after `settle`.

        Raises:
            AnswerError: The given error, in the first polls, since Orthanc itself may be at fault.
        """
        self._failures[name] += 1
        if self._failures[name] < _PATIENCE:
            raise error
        if self._failures[name] == _PATIENCE:
            _log.warning("%s is set aside for now: %s", name, error)

    def _arrival(self, series: Series) -> Arrival | None:
        source: Job | None = None
        objection: str | None
        edited = series.tags.get("Modality") == "SEG" and not is_own(series.tags)
        if edited and self.corrections:
            found = source_of(series, self.orthanc, self.jobs)
            source, objection = (None, found) if isinstance(found, str) else (found, None)
        else:
            sender = self.orthanc.sender(series.id) if self.rule.sender else ""
            objection = self.rule.objection(series.tags, len(series.instances), sender)
        if objection:
            _log.info("series %s is skipped: %s", series.id, objection)
            return None
        instances = self.orthanc.instances(series.id)
        if "SeriesInstanceUID" not in series.tags:
            raise FormError(f"Expected a SeriesInstanceUID of series {series.id}, found none")
        return Arrival(
            series=series.id,
            series_uid=series.tags["SeriesInstanceUID"],
            study_uid=self.orthanc.study(series.study).uid,
            input_hash=content_hash(instances),
            slices=len(instances),
            bytes=sum(instance.size for instance in instances) + (source.bytes if source else 0),
            corrects=source.id if source else None,
        )

    def _ask_for_silent(self, cursor: int) -> list[int]:
        """Asks for the series of instances about which Orthanc has no more news."""
        waiting = dict.fromkeys(self.jobs.unsettled(self.settle))
        new: list[int] = []
        while waiting and self.go_on():
            instance = next(iter(waiting))
            try:
                name = self.orthanc.series_of(instance)
                found = self.orthanc.series(name).instances
            except (GoneError, AnswerError) as error:
                self._forget(instance, cursor, error)
                del waiting[instance]
                continue
            self._missing.discard(instance)
            arrivals, settled = self._look_at({name: None})
            new += self.jobs.take_in(cursor, arrivals, settled=settled)
            if not settled:  # still arriving
                self.jobs.postpone(found)
            for other in (instance, *found):
                waiting.pop(other, None)
        return new

    def _forget(self, instance: str, cursor: int, error: GoneError | AnswerError) -> None:
        """Drops an instance that is missing twice; asks for any other again later."""
        if isinstance(error, AnswerError):
            self._put_aside(instance, error)
        elif instance in self._missing:
            self._missing.discard(instance)
            self.jobs.take_in(cursor, settled=[instance])
            return
        else:
            self._missing.add(instance)
        self.jobs.postpone([instance])
