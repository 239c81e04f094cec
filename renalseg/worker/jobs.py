"""The jobs, in a database that outlives the worker.

Every change of a job's state is one transaction, and each is noted with its time. The database
holds identifiers of Orthanc and DICOM, never a patient's name or ID.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from renalseg.errors import InputError
from renalseg.worker.database import Database
from renalseg.worker.job import WAITING, Arrival, Backoff, Job, State

_COLUMNS = ", ".join(field.name for field in fields(Job))
_ARRIVAL = ", ".join(field.name for field in fields(Arrival))


class Jobs:
    """The jobs of a database, and the rules by which they change.

    Args:
        path: File of the database; made if it is not there.
        backoff: For jobs that fail.
        clock: Seconds since 1970.

    Raises:
        ConfigError: It was written by another version, or is no database.
    """

    def __init__(
        self, path: Path, backoff: Backoff | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.database = Database(path)
        self.backoff = backoff or Backoff()
        self.clock = clock

    # what arrives

    def cursor(self) -> int | None:
        """Number of the change up to which Orthanc's log was read, None before the first time."""
        row = self.database.one("SELECT change FROM cursor")
        return None if row is None else int(row["change"])

    def take_in(
        self,
        cursor: int,
        arrivals: Iterable[Arrival] = (),
        *,
        arrived: Iterable[str] = (),
        settled: Iterable[str] = (),
    ) -> list[int]:
        """Notes a part of Orthanc's log as read, and makes jobs of what is new in it.

        All or nothing: after a crash the same part is read again, and makes no job twice.

        Args:
            cursor: Where to go on from.
            arrivals: Series that are complete for now.
            arrived: Instances that came.
            settled: Instances whose series was looked at, or that are gone.

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
            self.database.change("INSERT OR REPLACE INTO cursor VALUES (1, ?)", cursor)
        return [number for number in new if number is not None]

    def unsettled(self, seconds: float) -> list[str]:
        """Instances that came so long ago, and of whose series nothing was said since."""
        rows = self.database.all(
            "SELECT instance FROM arrived WHERE at <= ? ORDER BY at", self.clock() - seconds
        )
        return [row["instance"] for row in rows]

    def postpone(self, instances: Iterable[str]) -> None:
        """Waits for instances as if they had come now."""
        now = self.clock()
        with self.database.transaction():
            self.database.change_each(
                "UPDATE arrived SET at = ? WHERE instance = ?", [(now, name) for name in instances]
            )

    def _add(self, arrival: Arrival, now: float) -> int | None:
        """Makes a job, unless the content was there before or is less than what was done."""
        known = self.database.all("SELECT * FROM job WHERE series = ?", arrival.series)
        if any(row["input_hash"] == arrival.input_hash for row in known):
            return None
        if any(row["state"] == State.DONE and row["slices"] > arrival.slices for row in known):
            return None
        values = (*astuple(arrival), State.QUEUED, now, now)
        marks = ", ".join("?" * len(values))
        inserted = self.database.change(
            f"INSERT INTO job ({_ARRIVAL}, state, created, due) VALUES ({marks})", *values
        )
        new = int(inserted.lastrowid or 0)
        self._note(new, State.QUEUED, f"{arrival.slices} slices")
        for row in known:  # one that is done stands until the new one is
            if row["state"] not in (State.DONE, State.SUPERSEDED):
                self._supersede(row["id"], new)
        return new

    # what is done

    def claim(self, device: str) -> Job | None:
        """Starts the job that has waited longest, if there is one whose time has come."""
        now = self.clock()
        with self.database.transaction():
            row = self.database.one(
                "SELECT id, tries FROM job WHERE state IN (?, ?) AND due <= ? "
                "ORDER BY due, id LIMIT 1",
                *WAITING,
                now,
            )
            if row is None:
                return None
            self._set(
                row["id"], State.RUNNING, f"try {row['tries'] + 1} on {device}",
                tries=row["tries"] + 1, started=now, ended=None, device=device, exit_code=None,
            )  # fmt: skip
            return self.get(row["id"])

    def note_process(self, job: int, pid: int, born: str) -> None:
        """Keeps which process works on a job, to end it if the worker itself is killed."""
        self.database.change("UPDATE job SET pid = ?, born = ? WHERE id = ?", pid, born, job)

    def note_results(self, job: int, results: Iterable[str]) -> None:
        """Keeps the Orthanc ids of the results that a job has stored so far."""
        text = json.dumps(list(results))
        self.database.change("UPDATE job SET results = ? WHERE id = ?", text, job)

    def is_running(self, job: int) -> bool:
        """Whether a job runs still, and was not superseded."""
        return self.get(job).state == State.RUNNING

    def finish(self, job: int, finding: str = "") -> list[Job]:
        """Notes a job as done, and what was done before of its series as superseded by it.

        Returns:
            The jobs of the series before it that have results.
        """
        with self.database.transaction():
            if not self._end(job, State.DONE, finding, exit_code=0, finding=finding):
                return []
            query = f"SELECT {_COLUMNS} FROM job WHERE series = ? AND id < ?"
            before = [_job(row) for row in self.database.all(query, self.get(job).series, job)]
            for old in before:
                if old.state == State.DONE:
                    self._supersede(old.id, job)
        return [old for old in before if old.results]

    def refuse(self, job: int, message: str, exit_code: int | None = None) -> None:
        """Notes that a job cannot be done."""
        with self.database.transaction():
            self._end(job, State.REFUSED, message, exit_code=exit_code)

    def fail(self, job: int, message: str, exit_code: int | None = None) -> State:
        """Notes that a job failed: it is tried again later, or dead after too many tries."""
        with self.database.transaction():
            tries = self.get(job).tries
            if tries >= self.backoff.tries:
                self._end(job, State.DEAD, message, exit_code=exit_code)
            else:
                due = self.clock() + self.backoff.delay(tries)
                self._end(job, State.RETRY, message, exit_code=exit_code, due=due)
            return self.get(job).state

    def hand_back(self, job: int) -> None:
        """Puts a job that was interrupted back to where it was; the try does not count."""
        with self.database.transaction():
            tries = self.get(job).tries - 1
            self._end(job, State.QUEUED, "handed back", tries=tries, due=self.clock())

    def revive(self, job: int) -> None:
        """Queues a job of a killed worker, or gives it up if it kills workers."""
        with self.database.transaction():
            state = State.DEAD if self.get(job).tries >= self.backoff.tries else State.QUEUED
            self._end(job, state, "the worker ended without a word", due=self.clock())

    def retry(self, job: int) -> None:
        """Queues a job anew, with all its tries.

        Raises:
            InputError: It waits or runs already, or a newer job has more of its series.
        """
        with self.database.transaction():
            state = self.get(job).state
            if state not in (State.DONE, State.REFUSED, State.DEAD, State.RETRY):
                raise InputError(f"Job {job} is {state}: expected one that ended or waits to retry")
            self._set(job, State.QUEUED, "by hand", tries=0, due=self.clock())

    # what is asked

    def get(self, job: int) -> Job:
        """A job.

        Raises:
            InputError: There is none of that number.
        """
        row = self.database.one(f"SELECT {_COLUMNS} FROM job WHERE id = ?", job)
        if row is None:
            raise InputError(f"There is no job {job}")
        return _job(row)

    def newest(self, state: State | None = None, limit: int = -1) -> list[Job]:
        """The newest jobs, newest first, of one state or all; -1 for no limit."""
        query = f"SELECT {_COLUMNS} FROM job WHERE ? IN (state, '') ORDER BY id DESC LIMIT ?"
        return [_job(row) for row in self.database.all(query, state or "", limit)]

    def events(self, job: int) -> list[tuple[float, str, str]]:
        """When a job came to which state, and why."""
        rows = self.database.all("SELECT * FROM event WHERE job = ? ORDER BY rowid", job)
        return [(row["at"], row["state"], row["message"]) for row in rows]

    def waiting(self) -> bool:
        """Whether there is a job whose time has come."""
        query = "SELECT 1 FROM job WHERE state IN (?, ?) AND due <= ? LIMIT 1"
        return self.database.one(query, *WAITING, self.clock()) is not None

    # states

    def _end(self, job: int, state: State, message: str, **values: Any) -> bool:
        """Ends a job that runs; one that was superseded meanwhile stays so."""
        if not self.is_running(job):
            return False
        self._set(job, state, message, ended=self.clock(), pid=None, born=None, **values)
        return True

    def _supersede(self, job: int, by: int) -> None:
        self._set(job, State.SUPERSEDED, f"by job {by}", superseded_by=by)

    def _set(self, job: int, state: State, message: str, **values: Any) -> None:
        values = {"state": state, "message": message, **values}
        names = ", ".join(f"{name} = ?" for name in values)
        self.database.change(f"UPDATE job SET {names} WHERE id = ?", *values.values(), job)
        self._note(job, state, message)

    def _note(self, job: int, state: State, message: str) -> None:
        note = (job, self.clock(), state, message)
        self.database.change("INSERT INTO event VALUES (?, ?, ?, ?)", *note)


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    values["state"] = State(values["state"])
    values["results"] = tuple(json.loads(values["results"]))
    return Job(**values)
