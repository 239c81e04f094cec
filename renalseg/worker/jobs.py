"""Jobs in a persistent database.

Every change of a job's state is one transaction, and each is noted with its time. The database
holds identifiers of Orthanc and DICOM, never a patient's name or ID.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from renalseg.errors import InputError, plural
from renalseg.worker.database import Database
from renalseg.worker.job import DELIVERING, NEXT, WAITING, Arrival, Backoff, Job, State, Step
from renalseg.worker.orthanc.client import Change

_COLUMNS = ", ".join(field.name for field in fields(Job))
_POINT = ", ".join(field.name for field in fields(Change))
_POINTS = 200  # that are kept
_DUE = "(due <= ? OR due > ?)"
_ARRIVAL = ", ".join(field.name for field in fields(Arrival))


@dataclass(frozen=True)
class Seen:
    """How a series stood in a search, where a server has no log of changes.

    Attributes:
        series: The server's name for it.
        files: How many it had.
        since: When it had that many for the first time, in seconds since 1970.
        done: Whether it was examined since, or was there before the worker.
    """

    series: str
    files: int
    since: float
    done: bool


class Jobs:
    """The jobs of a database, and the rules by which they change.

    Args:
        path: File of the database; made if it is not there.
        backoff: For jobs that fail.
        clock: Seconds since 1970.

    Raises:
        ConfigError: It was written by a newer version, or is not a database.
        DatabaseError: It is not usable at the moment. Every method raises this.
    """

    def __init__(
        self, path: Path, backoff: Backoff | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.database = Database(path)
        self.backoff = backoff or Backoff()
        self.clock = clock

    # what arrives

    def cursor(self) -> int | None:
        """Up to where the news of the server were read; None before the first time.

        The number of a change in Orthanc's log, or for DICOMweb a day as YYYYMMDD.
        """
        row = self.database.one("SELECT change FROM cursor")
        return None if row is None else int(row["change"])

    def take_in(
        self,
        cursor: int | None,
        arrivals: Iterable[Arrival] = (),
        *,
        arrived: Iterable[str] = (),
        settled: Iterable[str] = (),
        point: Change | None = None,
        seen: Seen | None = None,
    ) -> list[int]:
        """Marks a part of the server's news as read, and makes jobs of what is new in it.

        All or nothing: after a crash the same part is read again and makes no job twice.

        Args:
            cursor: Where to continue; None to leave that as it is.
            arrivals: Series that are complete at present.
            arrived: Instances that arrived.
            settled: Instances whose series was examined, or that are gone.
            point: A change that was read, by which the log is recognized later.
            seen: A series as a search found it.

        Returns:
            Numbers of the new jobs.
        """
        now = self.clock()
        came = [(name, now) for name in arrived]
        gone = [(name,) for name in settled]
        with self.database.transaction():
            self.database.change_each("INSERT OR IGNORE INTO arrived VALUES (?, ?)", came)
            self.database.change_each("DELETE FROM arrived WHERE instance = ?", gone)
            new = [self._add(arrival, now) for arrival in arrivals]
            if seen is not None:
                values = astuple(seen)
                self.database.change("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", *values)
            if cursor is not None:
                self._keep_place(cursor, point)
        return [number for number in new if number is not None]

    def points(self) -> list[Change]:
        """Changes kept to recognize the log by, newest first."""
        rows = self.database.all(f"SELECT {_POINT} FROM point ORDER BY seq DESC")
        return [Change(**dict(row)) for row in rows]

    def go_on_at(self, cursor: int, point: Change | None = None) -> None:
        """Continues after another change, without the points behind it.

        Args:
            cursor: Its number.
            point: The only one to keep, in place of all others.
        """
        with self.database.transaction():
            last = -1 if point else cursor
            self.database.change("DELETE FROM point WHERE seq > ?", last)
            self._keep_place(cursor, point)

    def _keep_place(self, cursor: int, point: Change | None) -> None:
        self.database.change("INSERT OR REPLACE INTO cursor VALUES (1, ?)", cursor)
        if point is not None:
            values = astuple(point)
            self.database.change("INSERT OR REPLACE INTO point VALUES (?, ?, ?, ?)", *values)
            self.database.change(
                "DELETE FROM point WHERE seq NOT IN (SELECT seq FROM point ORDER BY seq DESC "
                f"LIMIT {_POINTS})"
            )

    def unsettled(self, seconds: float) -> list[str]:
        """Instances that arrived that long ago, without news of their series since."""
        now = self.clock()  # one from the future: the clock was set back
        rows = self.database.all(
            "SELECT instance FROM arrived WHERE at <= ? OR at > ? ORDER BY at", now - seconds, now
        )
        return [row["instance"] for row in rows]

    def ask_for(self, series: str, instances: Iterable[str]) -> None:
        """Schedules another look at a series, as if its instances had just arrived."""
        now = self.clock()
        with self.database.transaction():
            again = "UPDATE seen SET done = 0, since = ? WHERE series = ?"
            if not self.database.change(again, now, series).rowcount:
                came = [(name, now) for name in instances]
                self.database.change_each("INSERT OR IGNORE INTO arrived VALUES (?, ?)", came)

    def seen(self, series: str) -> Seen | None:
        """How a series stood in the last search that found it changed; None if none found it."""
        row = self.database.one("SELECT * FROM seen WHERE series = ?", series)
        return None if row is None else Seen(**{**dict(row), "done": bool(row["done"])})

    def growing(self) -> list[str]:
        """Series that were seen and not yet examined."""
        return [
            row["series"] for row in self.database.all("SELECT series FROM seen WHERE NOT done")
        ]

    def postpone(self, instances: Iterable[str]) -> None:
        """Waits for instances as if they had just arrived."""
        now = self.clock()
        with self.database.transaction():
            self.database.change_each(
                "UPDATE arrived SET at = ? WHERE instance = ?", [(now, name) for name in instances]
            )

    def _add(self, arrival: Arrival, now: float) -> int | None:
        """Makes a job, unless its content was there before or is less than what was done."""
        known = self.database.all("SELECT * FROM job WHERE series = ?", arrival.series)
        if any(row["input_hash"] == arrival.input_hash for row in known):
            return None
        computed = (State.DONE, *DELIVERING)
        if any(row["state"] in computed and row["slices"] > arrival.slices for row in known):
            return None
        values = (*astuple(arrival), State.QUEUED, now, now)
        marks = ", ".join("?" * len(values))
        inserted = self.database.change(
            f"INSERT INTO job ({_ARRIVAL}, state, created, due) VALUES ({marks})", *values
        )
        new = int(inserted.lastrowid or 0)
        self._note(new, State.QUEUED, plural(arrival.slices, "slice"))
        for row in known:  # what is computed stays until the new one is done
            if row["state"] not in (*computed, State.SUPERSEDED):
                self._supersede(row["id"], new)
        return new

    # what is done

    def claim(self, device: str) -> Job | None:
        """Starts the job that has waited longest, if one is due."""
        now = self.clock()
        with self.database.transaction():
            row = self.database.one(
                f"SELECT id, tries FROM job WHERE state IN (?, ?) AND {_DUE} "
                "ORDER BY due, id LIMIT 1",
                *WAITING,
                *self._due(self.backoff.longest),
            )
            if row is None:
                return None
            self._set(
                row["id"], State.RUNNING, f"try {row['tries'] + 1} on {device}",
                tries=row["tries"] + 1, started=now, ended=None, device=device, exit_code=None,
            )  # fmt: skip
            return self.get(row["id"])

    def note_process(self, job: int, pid: int, born: str) -> None:
        """Records which process works on a job, to end it if the worker itself is killed."""
        self.database.change("UPDATE job SET pid = ?, born = ? WHERE id = ?", pid, born, job)

    def note_results(self, job: int, results: Iterable[str]) -> None:
        """Records the Orthanc ids of the results that a job has stored so far."""
        text = json.dumps(list(results))
        self.database.change("UPDATE job SET results = ? WHERE id = ?", text, job)

    def is_running(self, job: int) -> bool:
        """Whether a job is still running and was not superseded."""
        return self.get(job).state == State.RUNNING

    def keep(self, job: int, finding: str = "") -> None:
        """Notes that a job is computed and its results wait to be stored."""
        with self.database.transaction():
            self._end(
                job, State.STORING, finding, exit_code=0, finding=finding, due=self.clock(),
                step=Step.SEGMENTED, deliveries=0, waited=0.0, sent="[]",
            )  # fmt: skip

    def stored(self, job: int) -> bool:
        """Notes that the results of a job are stored; returns whether they are to be sent on."""
        with self.database.transaction():
            if self.get(job).state != State.STORING:
                return False
            self._set(
                job, State.FORWARDING, "", step=Step.STORED, due=self.clock(),
                deliveries=0, waited=0.0,
            )  # fmt: skip
            return True

    def to_deliver(self) -> list[Job]:
        """Jobs whose results are to be stored or sent now; those never tried go first."""
        query = (
            f"SELECT {_COLUMNS} FROM job WHERE state IN (?, ?) AND {_DUE} ORDER BY deliveries, due"
        )
        due = self._due(self.backoff.longest_store)
        return [_job(row) for row in self.database.all(query, *DELIVERING, *due)]

    def deliver_now(self) -> None:
        """Makes all waiting results due now, since what they waited for is back."""
        now = self.clock()
        query = (
            "UPDATE job SET waited = max(0, waited - max(0, due - ?)), due = ? "
            "WHERE state IN (?, ?)"
        )
        self.database.change(query, now, now, *DELIVERING)

    def deliver_later(self, job: int, message: str) -> None:
        """Notes that results could not be stored or sent; this is retried for days."""
        with self.database.transaction():
            found = self.get(job)
            if found.state not in DELIVERING:
                return
            delay = self.backoff.store_delay(found.deliveries + 1)
            values = {
                "deliveries": found.deliveries + 1,
                "waited": found.waited + delay,  # not by the clock, which may be set
                "due": self.clock() + delay,
            }
            if values["waited"] > self.backoff.store:
                self._set(job, State.DEAD, message, **values)
                return
            self._change(job, message=message, **values)
            if not found.deliveries:  # only the first of hundreds of tries is noted
                self._note(job, found.state, message)

    def note_sent(self, job: int, targets: Iterable[str]) -> None:
        """Records which targets have the results of a job."""
        self._change(job, sent=json.dumps(list(targets)))

    def compute_again(self, job: int, message: str) -> None:
        """Queues a job whose results were lost before they were stored."""
        with self.database.transaction():
            if self.get(job).state in DELIVERING:
                self._set(job, State.QUEUED, message, step=Step.RECEIVED, due=self.clock())

    def before(self, job: int) -> list[Job]:
        """The jobs of the same series before one, oldest first."""
        query = f"SELECT {_COLUMNS} FROM job WHERE series = ? AND id < ? ORDER BY id"
        return [_job(row) for row in self.database.all(query, self.get(job).series, job)]

    def finish(self, job: int, finding: str = "", result: str = "") -> list[Job]:
        """Marks a job as done, and earlier jobs of its series as superseded by it.

        Args:
            job: Its number.
            finding: What was found.
            result: The text of its result.json, kept for later jobs if there are objects.

        Returns:
            The jobs of the series before it that have results.
        """
        with self.database.transaction():
            found = self.get(job)
            if found.state not in (State.RUNNING, *DELIVERING):
                return []
            self._set(
                job, State.DONE, finding, exit_code=0, finding=finding, pid=None, born=None,
                step=Step.FORWARDED, ended=found.ended or self.clock(),
            )  # fmt: skip
            if found.results and result:
                self.database.change("INSERT OR REPLACE INTO result VALUES (?, ?)", job, result)
            before = self.before(job)
            for old in before:
                if old.state in (State.DONE, *DELIVERING):
                    self._supersede(old.id, job)
        return [old for old in before if old.results]

    def refuse(self, job: int, message: str, exit_code: int | None = None) -> None:
        """Notes that a job cannot be done."""
        with self.database.transaction():
            self._end(job, State.REFUSED, message, exit_code=exit_code)

    def fail(self, job: int, message: str, exit_code: int | None = None) -> State:
        """Notes that a job failed: it is retried later, or dead after too many tries."""
        with self.database.transaction():
            tries = self.get(job).tries
            if tries >= self.backoff.tries:
                self._end(job, State.DEAD, message, exit_code=exit_code)
            else:
                due = self.clock() + self.backoff.delay(tries)
                self._end(job, State.RETRY, message, exit_code=exit_code, due=due)
            return self.get(job).state

    def hand_back(self, job: int) -> None:
        """Puts an interrupted job back to its former state; the try does not count."""
        with self.database.transaction():
            tries = self.get(job).tries - 1
            self._end(job, State.QUEUED, "handed back", tries=tries, due=self.clock())

    def try_later(self, job: int, message: str) -> None:
        """Waits for Orthanc, disk space or the like; the try does not count."""
        with self.database.transaction():
            tries = self.get(job).tries - 1
            due = self.clock() + self.backoff.first
            self._end(job, State.RETRY, message, tries=tries, due=due)

    def revive(self, job: int) -> None:
        """Queues a job of a killed worker, or gives it up if it kills workers."""
        with self.database.transaction():
            state = State.DEAD if self.get(job).tries >= self.backoff.tries else State.QUEUED
            self._end(job, state, "the worker ended unexpectedly", due=self.clock())

    def retry(self, job: int) -> None:
        """Takes up a job that ended at the step it has before it, with all its tries.

        Raises:
            InputError: It is already waiting or running, or a newer job has more of its series.
        """
        with self.database.transaction():
            found = self.get(job)
            ended = (State.DONE, State.REFUSED, State.DEAD, State.RETRY)
            if found.state not in (*ended, *DELIVERING):
                raise InputError(
                    f"Job {job} is {found.state}: expected one that ended or waits to retry"
                )
            state = NEXT[found.step]
            step = Step.RECEIVED if state == State.QUEUED else found.step
            self._set(job, state, "by hand", step=step, tries=0, due=self.clock(), waited=0.0)

    # what is asked

    def get(self, job: int) -> Job:
        """A job.

        Raises:
            InputError: There is no job with that number.
        """
        row = self.database.one(f"SELECT {_COLUMNS} FROM job WHERE id = ?", job)
        if row is None:
            raise InputError(f"There is no job {job}")
        return _job(row)

    def result(self, job: int) -> str | None:
        """The text of the result.json of a job that is done; None where none was kept."""
        row = self.database.one("SELECT text FROM result WHERE job = ?", job)
        return None if row is None else str(row["text"])

    def last_of_study(self, study_uid: str) -> Job | None:
        """The newest job of a study whose result can be read again, corrections among them."""
        return self._last("study_uid = ?", study_uid)

    def last_of_series(self, series_uid: str) -> Job | None:
        """The newest job of a CT series whose result can be read again."""
        return self._last("series_uid = ? AND corrects IS NULL", series_uid)

    def corrected_by(self, job: Job) -> Job | None:
        """The job whose result a correction starts from: that of the CT, or a newer correction."""
        source = job.corrects
        return self._last("(id = ? OR corrects = ?) AND id < ?", source, source, job.id)

    def source(self, job: Job) -> Job:
        """The job of the CT that a job is of: itself, or the one whose result it corrects."""
        return job if job.corrects is None else self.get(job.corrects)

    def _last(self, which: str, *values: Any) -> Job | None:
        row = self.database.one(
            f"SELECT {_COLUMNS} FROM job WHERE {which} AND state = ? "
            "AND id IN (SELECT job FROM result) ORDER BY id DESC LIMIT 1",
            *values,
            State.DONE,
        )
        return None if row is None else _job(row)

    def newest(self, state: State | None = None, limit: int = -1) -> list[Job]:
        """The newest jobs first, in one state or all; -1 for no limit."""
        query = f"SELECT {_COLUMNS} FROM job WHERE ? IN (state, '') ORDER BY id DESC LIMIT ?"
        return [_job(row) for row in self.database.all(query, state or "", limit)]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state; one that no job is in is missing."""
        rows = self.database.all("SELECT state, count(*) AS number FROM job GROUP BY state")
        return {row["state"]: row["number"] for row in rows}

    def events(self, job: int) -> list[tuple[float, str, str]]:
        """When a job entered which state, and why."""
        rows = self.database.all("SELECT * FROM event WHERE job = ? ORDER BY rowid", job)
        return [(row["at"], row["state"], row["message"]) for row in rows]

    def waiting(self) -> bool:
        """Whether a job is due."""
        query = f"SELECT 1 FROM job WHERE state IN (?, ?) AND {_DUE} LIMIT 1"
        due = self._due(self.backoff.longest)
        return self.database.one(query, *WAITING, *due) is not None

    def _due(self, longest: float) -> tuple[float, float]:
        """The bounds of `_DUE`; a due time beyond the longest wait comes from a wrong clock."""
        now = self.clock()
        return now, now + max(longest, self.backoff.first)

    # states

    def _end(self, job: int, state: State, message: str, **values: Any) -> bool:
        """Ends a running job; one that was superseded meanwhile stays superseded."""
        if not self.is_running(job):
            return False
        self._set(job, state, message, ended=self.clock(), pid=None, born=None, **values)
        return True

    def _supersede(self, job: int, by: int) -> None:
        self._set(job, State.SUPERSEDED, f"by job {by}", superseded_by=by)

    def _set(self, job: int, state: State, message: str, **values: Any) -> None:
        self._change(job, state=state, message=message, **values)
        self._note(job, state, message)

    def _change(self, job: int, **values: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        self.database.change(f"UPDATE job SET {names} WHERE id = ?", *values.values(), job)

    def _note(self, job: int, state: State, message: str) -> None:
        note = (job, self.clock(), state, message)
        self.database.change("INSERT INTO event VALUES (?, ?, ?, ?)", *note)


def _job(row: sqlite3.Row) -> Job:
    lists = {name: json.loads(row[name]) for name in ("results", "sent")}
    return msgspec.convert({**dict(row), **lists}, Job)
