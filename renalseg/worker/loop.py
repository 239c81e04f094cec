"""The worker's main loop: reads what is new in the archive, does jobs, and stops on request."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

from renalseg.errors import RenalSegError
from renalseg.runtime.privacy import message_of
from renalseg.worker.database import DatabaseError
from renalseg.worker.job import State
from renalseg.worker.jobs import Jobs
from renalseg.worker.locks import device_lock
from renalseg.worker.process import end_orphan
from renalseg.worker.scratch import NoRoomError
from renalseg.worker.server import Feed
from renalseg.worker.work import DATABASE, Work

SCRATCH = "the scratch folder"
_IDLE_SECONDS = 0.5
_STUCK_SECONDS = 600.0  # longer than reading any part of the log takes
_log = logging.getLogger(__name__)


class Stop:
    """Whether and how soon to stop.

    After the first request, jobs have a while to finish; after the second, none.

    Args:
        grace: Seconds for running jobs to finish.
    """

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self._asked = threading.Event()
        self._limit = float("inf")

    def ask(self) -> None:
        """Requests a stop, once more."""
        self._limit = time.monotonic() + (0 if self._asked.is_set() else self.grace)
        self._asked.set()

    def asked(self) -> bool:
        """Whether to start nothing new."""
        return self._asked.is_set()

    def now(self) -> bool:
        """Whether to hand back running jobs."""
        return time.monotonic() >= self._limit

    def wait(self, seconds: float) -> bool:
        """Waits, or returns True as soon as a stop is requested."""
        return self._asked.wait(seconds)


@dataclass
class Status:
    """Status of the worker for monitoring.

    Attributes:
        up: Whether the archive answered the last request; None before the first.
        polled: When it last answered, in seconds since 1970.
        beat: When the worker was last active, on the monotonic clock.
    """

    up: bool | None = None
    polled: float = 0.0
    beat: float = 0.0


class Worker:
    """Combines the parts of the worker.

    Args:
        feed: Makes jobs.
        work: Does them.
        jobs: Keeps them.
        devices: One for each job at a time.
        stop: Stops it on request.
        interval: Seconds between polls of the archive.
    """

    def __init__(
        self,
        feed: Feed,
        work: Work,
        jobs: Jobs,
        devices: Sequence[str],
        stop: Stop,
        interval: float = 5.0,
    ) -> None:
        self.feed = feed
        feed.go_on = self._go_on
        self.work = work
        self.jobs = jobs
        self.stop = stop
        self.interval = interval
        self.status = Status(beat=time.monotonic())
        self.trouble = work.trouble
        self._computed = threading.Event()
        self._courier = threading.Thread(target=self._store, name="courier", daemon=True)
        self._slots = [
            threading.Thread(target=self._slot, args=(number, device), name=f"slot-{number}")
            for number, device in enumerate(devices)
        ]

    def run(self) -> None:
        """Runs until told to stop."""
        if not self._reconcile():
            return
        for thread in (*self._slots, self._courier):
            thread.start()
        try:
            while self._go_on():
                self.poll()
                self.stop.wait(self.interval)
        finally:
            if not self.stop.asked():  # a fault of the worker; jobs may still finish
                self.stop.ask()
            for slot in self._slots:
                while slot.is_alive():  # in parts, so that the second signal is noticed
                    slot.join(_IDLE_SECONDS)
            self._computed.set()
            while self._courier.is_alive() and not self.stop.now():
                self._courier.join(_IDLE_SECONDS)

    def reconcile(self) -> None:
        """Recovers from a killed worker: its processes, files and jobs."""
        for job in self.jobs.newest(State.RUNNING):
            if end_orphan(job.pid, job.born):
                _log.warning("job %d: its process was still running and was ended", job.id)
            _log.warning("job %d was left by a worker that was killed", job.id)
        self.work.take_up()

    def _reconcile(self) -> bool:
        """Recovers as soon as the database is usable; False if told to stop."""
        while not self.stop.asked():
            try:
                self.reconcile()
                return True
            except DatabaseError as error:
                self.trouble.begins(DATABASE, error)
                self.status.beat = time.monotonic()
                self.stop.wait(self.interval)
        return False

    def poll(self) -> None:
        """Reads what is new once, and notes whether it answers."""
        try:
            new = self.feed.poll()
            self.trouble.is_over(DATABASE)  # the position in the log was written
            if not self.status.up:
                self.jobs.deliver_now()
        except DatabaseError as error:
            self.trouble.begins(DATABASE, error)
            return
        except Exception as error:  # a fault caused by one answer must not end the rest
            if not isinstance(error, RenalSegError):
                _log.debug("reading the news", exc_info=True)
            self.trouble.begins(self.work.server.name, error)
            self.status.up = False
            return
        self.trouble.is_over(self.work.server.name)
        if not self.status.up:
            _log.info("%s answers", self.work.server.name)
        self.status.up, self.status.polled = True, time.time()
        if new:
            _log.info("new jobs: %s", ", ".join(map(str, new)))

    def alive(self) -> bool:
        """Whether all parts are still working or waiting for work."""
        fresh = time.monotonic() - self.status.beat < _STUCK_SECONDS
        return fresh and all(thread.is_alive() for thread in (*self._slots, self._courier))

    def ready(self) -> bool:
        """Whether it accepts and processes jobs."""
        works = bool(self.status.up) and not self.trouble.any()
        return self.alive() and works and not self.stop.asked()

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Handles SIGTERM and SIGINT."""
        self.stop.ask()

    def listen(self) -> None:
        """Stops at SIGTERM and SIGINT; for the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.on_signal)

    def _go_on(self) -> bool:
        self.status.beat = time.monotonic()
        return not self.stop.asked()

    def _slot(self, number: int, device: str) -> None:
        """Does one job after another."""
        while not self.stop.asked():
            try:
                if not self._do_one(number, device):
                    self.stop.wait(_IDLE_SECONDS)
            except Exception as error:  # whatever it is, the slot must survive
                self._wait_for(error, f"slot {number}")

    def _store(self) -> None:
        """Stores what was computed, until no slot computes anymore."""
        last = False
        while not last:
            last = self._computed.is_set()  # what the slots did at the end is stored, too
            try:
                if self.status.up:
                    self.work.store()
            except Exception as error:
                self._wait_for(error, "delivering")
            self._computed.wait(_IDLE_SECONDS)

    def _wait_for(self, error: Exception, what: str) -> None:
        if isinstance(error, DatabaseError):
            self.trouble.begins(DATABASE, error)
        else:
            _log.error("%s: %s", what, message_of(error), exc_info=error)
        self.stop.wait(self.interval)

    def _do_one(self, number: int, device: str) -> bool:
        # Nothing starts while the archive is away, so an outage costs waiting jobs no tries.
        if not self.status.up or not self.jobs.waiting() or not self._has_room():
            return False
        with device_lock(device, lambda: self.stop.wait(_IDLE_SECONDS)) as lock:
            job = None if self.stop.asked() else self.jobs.claim(device)
            if job is None:
                return False
            self.work.do(job, number, device, lock)
        return True

    def _has_room(self) -> bool:
        try:
            self.work.scratch.check_room(0)
        except (NoRoomError, OSError) as error:
            self.trouble.begins(SCRATCH, error)
            return False
        self.trouble.is_over(SCRATCH)
        return True
