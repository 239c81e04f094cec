"""The worker as a whole: it reads Orthanc's log, does jobs, and stops when it is told to."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

from renalseg.errors import RenalSegError
from renalseg.worker.feed import Feed
from renalseg.worker.job import State
from renalseg.worker.jobs import Jobs
from renalseg.worker.locks import device_lock
from renalseg.worker.process import end_orphan
from renalseg.worker.work import Work

_IDLE_SECONDS = 0.5
_STUCK_SECONDS = 600.0  # longer than reading any part of the log takes
_log = logging.getLogger(__name__)


class Stop:
    """Whether and how soon to stop: told once, jobs have a while to finish; told again, none.

    Args:
        grace: Seconds that a job which runs has.
    """

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self._asked = threading.Event()
        self._limit = float("inf")

    def ask(self) -> None:
        """Tells once more to stop."""
        self._limit = time.monotonic() + (0 if self._asked.is_set() else self.grace)
        self._asked.set()

    def asked(self) -> bool:
        """Whether to begin nothing new."""
        return self._asked.is_set()

    def now(self) -> bool:
        """Whether to hand back what runs."""
        return time.monotonic() >= self._limit

    def wait(self, seconds: float) -> bool:
        """Waits, less if told to stop meanwhile; then True."""
        return self._asked.wait(seconds)


@dataclass
class Status:
    """How the worker is, for whoever watches it.

    Attributes:
        up: Whether Orthanc answered last, None before it was asked.
        polled: When it last did, in seconds since 1970.
        beat: When the worker last showed life, on the monotonic clock.
    """

    up: bool | None = None
    polled: float = 0.0
    beat: float = 0.0


class Worker:
    """Puts the parts together.

    Args:
        feed: Makes jobs.
        work: Does them.
        jobs: Keeps them.
        devices: One for each job at a time.
        stop: Who else may stop it.
        interval: Seconds between looks at Orthanc's log.
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
        self._slots = [
            threading.Thread(target=self._slot, args=(number, device), name=f"slot-{number}")
            for number, device in enumerate(devices)
        ]

    def run(self) -> None:
        """Works until told to stop."""
        self.reconcile()
        for slot in self._slots:
            slot.start()
        try:
            while self._go_on():
                self.poll()
                self.stop.wait(self.interval)
        finally:
            if not self.stop.asked():  # a fault of the worker; jobs still get their time
                self.stop.ask()
            for slot in self._slots:
                while slot.is_alive():  # in parts, so that the second signal is heard
                    slot.join(_IDLE_SECONDS)

    def reconcile(self) -> None:
        """Takes up what a killed worker left: its processes, its files, its jobs."""
        for job in self.jobs.newest(State.RUNNING):
            if end_orphan(job.pid, job.born):
                _log.warning("job %d: its process was still running, and was ended", job.id)
            self.jobs.revive(job.id)
            _log.warning("job %d was left by a worker that was killed", job.id)
        self.work.scratch.clear()

    def poll(self) -> None:
        """Reads Orthanc's log once, and notes whether it answers."""
        try:
            new = self.feed.poll()
        except RenalSegError as error:
            if self.status.up is not False:
                _log.warning("waiting for Orthanc: %s", error)
            self.status.up = False
            return
        if not self.status.up:
            _log.info("Orthanc answers")
        self.status.up, self.status.polled = True, time.time()
        if new:
            _log.info("new jobs: %s", ", ".join(map(str, new)))

    def alive(self) -> bool:
        """Whether all of it still works, or waits for work."""
        fresh = time.monotonic() - self.status.beat < _STUCK_SECONDS
        return fresh and all(slot.is_alive() for slot in self._slots)

    def ready(self) -> bool:
        """Whether it takes and does jobs."""
        return self.alive() and bool(self.status.up) and not self.stop.asked()

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
            except Exception:  # a full disk under the database, say: the slot must live on
                _log.exception("slot %d", number)
                self.stop.wait(self.interval)

    def _do_one(self, number: int, device: str) -> bool:
        # Nothing begins while Orthanc is away, so an outage uses up the tries of no waiting job.
        if not self.status.up or not self.jobs.waiting():
            return False
        with device_lock(device, lambda: self.stop.wait(_IDLE_SECONDS)) as lock:
            job = None if self.stop.asked() else self.jobs.claim(device)
            if job is None:
                return False
            self.work.do(job, number, device, lock)
        return True
