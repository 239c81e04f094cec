"""One job: fetch the series, run the application on it, store what it makes."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from renalseg.errors import EXIT_REFUSED, ConfigError, InputError, RetryableError
from renalseg.harmless import one_line
from renalseg.results.output import read_result
from renalseg.worker.client import Orthanc
from renalseg.worker.http import PREFIX, GoneError
from renalseg.worker.job import Job, State
from renalseg.worker.jobs import Jobs
from renalseg.worker.process import Ended, run
from renalseg.worker.rules import OWN_MANUFACTURER, content_hash
from renalseg.worker.scratch import Scratch, TooLargeError

HANDED_BACK = "handed back"
SUPERSEDED = "superseded"
DEFAULT_COMMAND = f"{shlex.quote(sys.executable)} -m renalseg.cli run {{input}} {{output}}"
_LOOK_SECONDS = 2.0  # between looks at what costs a walk through a folder
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What is done with every series.

    Attributes:
        command: Program and arguments; ``{input}`` and ``{output}`` stand for the folders.
        timeout: Seconds after which the application is ended.
        forward: Targets that Orthanc sends the results to.
        delete_superseded: Whether results are deleted in Orthanc once newer ones are there.
    """

    command: tuple[str, ...]
    timeout: float = 3600.0
    forward: tuple[str, ...] = ()
    delete_superseded: bool = False

    @staticmethod
    def parse(command: str) -> tuple[str, ...]:
        """Splits a command as a shell does.

        Raises:
            ConfigError: It does not say where the folders go.
        """
        parts = tuple(shlex.split(command))
        if not all(any(name in part for part in parts) for name in ("{input}", "{output}")):
            raise ConfigError(
                f"Expected a command with {{input}} and {{output}} in it, got {command!r}"
            )
        return parts


class Work:
    """Does jobs, one for each call.

    Args:
        orthanc: Where series come from and results go.
        jobs: Where it is noted.
        scratch: Where files lie meanwhile.
        task: What is done.
        give_up: Whether the worker wants its jobs back.
    """

    def __init__(
        self,
        orthanc: Orthanc,
        jobs: Jobs,
        scratch: Scratch,
        task: Task,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self.orthanc = orthanc
        self.jobs = jobs
        self.scratch = scratch
        self.task = task
        self.give_up = give_up

    def do(self, job: Job, slot: int = 0, device: str = "cpu", lock: int | None = None) -> State:
        """Does a job and notes how it ended; whatever goes wrong is noted, not raised.

        Args:
            job: It was claimed before.
            slot: Number of the scratch folder that is used.
            device: What the application is to run on.
            lock: File descriptor of the device's lock.
        """
        _log.info("job %d: series %s, %d slices", job.id, job.series, job.slices)
        try:
            self._do(job, slot, device, lock)
        except (GoneError, TooLargeError) as error:
            self.jobs.refuse(job.id, str(error))
        except Exception as error:  # of a network, a disk, a fault: each may be over next time
            _log.debug("job %d", job.id, exc_info=True)
            self.jobs.fail(job.id, str(error) or type(error).__name__)
        ended = self.jobs.get(job.id)
        _log.info("job %d is %s: %s", job.id, ended.state, ended.message)
        return ended.state

    def _do(self, job: Job, slot: int, device: str, lock: int | None) -> None:
        patient = self.orthanc.patient(job.series)
        with self.scratch.folder(slot, job.bytes) as folder:
            if not self._fetch(job, folder / "input"):
                return
            ended = self._run(job, folder, device, lock)
            if ended.why == HANDED_BACK:
                self.jobs.hand_back(job.id)
            elif ended.why == SUPERSEDED:
                return
            elif ended.why or ended.code not in (0, EXIT_REFUSED):
                self.jobs.fail(job.id, ended.why or _words(ended, patient), ended.code)
            elif ended.code == EXIT_REFUSED:
                self.jobs.refuse(job.id, _words(ended, patient), ended.code)
            else:
                self._store(job, folder / "output")

    def _fetch(self, job: Job, folder: Path) -> bool:
        """Gets the files; False if the worker wants the job back or it is no longer wanted."""
        instances = self.orthanc.instances(job.series)
        if content_hash(instances) != job.input_hash:
            raise RetryableError("the series has changed; Orthanc will say when it is stable again")
        with closing(self.orthanc.fetch_all(instances, folder)) as fetched:
            for _ in fetched:
                if self.give_up():
                    self.jobs.hand_back(job.id)
                if not self.jobs.is_running(job.id):
                    return False
        return True

    def _run(self, job: Job, folder: Path, device: str, lock: int | None) -> Ended:
        places = {"{input}": str(folder / "input"), "{output}": str(folder / "output")}
        return run(
            [_fill(part, places) for part in self.task.command],
            environment=_environment(device, folder / "tmp"),
            keep=() if lock is None else (lock,),
            on_start=lambda pid, born: self.jobs.note_process(job.id, pid, born),
            watch=self._watch(job, folder),
        )

    def _watch(self, job: Job, folder: Path) -> Callable[[], str | None]:
        """What tells whether the application is to be ended, and why."""
        limit = time.monotonic() + self.task.timeout
        due = time.monotonic() + _LOOK_SECONDS

        def look() -> str | None:
            nonlocal due
            if self.give_up():
                return HANDED_BACK
            now = time.monotonic()
            if now > limit:
                return f"not done after {self.task.timeout:.0f} seconds"
            if now < due:
                return None
            due = now + _LOOK_SECONDS
            if not self.jobs.is_running(job.id):
                return SUPERSEDED
            used = self.scratch.used(folder)
            if used > self.scratch.share:
                return f"took {used} bytes of the scratch folder, more than its share"
            return None

        return look

    def _store(self, job: Job, folder: Path) -> None:
        if not self.jobs.is_running(job.id):
            return
        stored: list[str] = []
        for path in sorted(folder.rglob("*.dcm")):
            stored.append(self.orthanc.store(path))
            self.jobs.note_results(job.id, stored)
        for target in self.task.forward if stored else ():
            self.orthanc.forward(target, stored)
        before = self.jobs.finish(job.id, _finding(folder))
        if self.task.delete_superseded:
            for old in before:
                for instance in set(old.results) - set(stored):
                    self.orthanc.delete(instance, OWN_MANUFACTURER)
                self.jobs.note_results(old.id, ())


def _words(ended: Ended, patient: Sequence[str]) -> str:
    """What the application said at last, without the patient."""
    if ended.code < 0:
        return f"killed by signal {-ended.code}"
    return one_line(_without(ended.words, patient)) or f"ended with exit code {ended.code}"


def _fill(part: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        part = part.replace(name, value)
    return part


def _environment(device: str, tmp: Path) -> dict[str, str]:
    """The worker's own, less its secrets, and such that errors are said as text."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) and name != "RENALSEG_LOG"
    }
    return {**kept, "RENALSEG_DEVICE": device, "TMPDIR": str(tmp)}


def _finding(folder: Path) -> str:
    """What the result of a job says was found: one line, or one for each study."""
    try:
        studies = read_result(folder)["studies"]
    except InputError:
        return ""
    return "; ".join(str(study["finding"]) for study in studies) or "nothing eligible"


def _without(text: str, names: Sequence[str]) -> str:
    """A text without a patient's name and id; of a name, without each of its parts."""
    parts = {part for name in names for part in (name, *re.split(r"[\^=\s]+", name))}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) > 2:  # shorter ones tell nobody, and are part of any text
            text = re.sub(re.escape(part), "[removed]", text, flags=re.IGNORECASE)
    return text
