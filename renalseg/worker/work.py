"""One job: fetches a series, runs the application, and keeps the results until stored."""

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
from functools import partial
from pathlib import Path

from renalseg.errors import EXIT_REFUSED, ConfigError, InputError, RetryableError
from renalseg.output.folder import RESULT_FILE, read_result
from renalseg.runtime import log
from renalseg.runtime.harmless import one_line
from renalseg.worker.database import DatabaseError
from renalseg.worker.http import PREFIX, GoneError, Trouble, UnreachableError
from renalseg.worker.job import Job, State
from renalseg.worker.jobs import Jobs
from renalseg.worker.process import Ended, run
from renalseg.worker.rules import OWN_MANUFACTURER, content_hash
from renalseg.worker.scratch import NoRoomError, Scratch, TooLargeError
from renalseg.worker.server import Server, fetch_all

HANDED_BACK = "handed back"
SUPERSEDED = "superseded"
DATABASE = "the database"
DEFAULT_COMMAND = (
    f"{shlex.quote(sys.executable)} -P -m renalseg.commands.main run {{input}} {{output}}"
)
_LOOK_SECONDS = 2.0  # seconds between checks that walk through a folder
_GONE_TRIES = 3  # seconds after which a series that the server lacks counts as deleted
_PATHS = ("PYTHONPATH", "RENALSEG_BUNDLES", "RENALSEG_CACHE", "HOLOSCAN_MODEL_PATH")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """Settings for the work on every series.

    Attributes:
        command: Program and arguments; ``{input}`` and ``{output}`` stand for the folders.
        timeout: Seconds after which the application is ended.
        forward: Targets that the server sends the results to.
        delete_superseded: Whether results are deleted in the server once newer ones are there.
    """

    command: tuple[str, ...]
    timeout: float = 3600.0
    forward: tuple[str, ...] = ()
    delete_superseded: bool = False

    @staticmethod
    def parse(command: str) -> tuple[str, ...]:
        """Splits a command as a shell does.

        Raises:
            ConfigError: It lacks the placeholders of the folders.
        """
        parts = tuple(shlex.split(command))
        if not all(any(name in part for part in parts) for name in ("{input}", "{output}")):
            raise ConfigError(
                f"Expected a command with {{input}} and {{output}} in it, got {command!r}"
            )
        return parts


class Work:
    """Does jobs: computes one for each call, and stores what was computed.

    Args:
        server: Where series come from and results go.
        jobs: Where progress is recorded.
        scratch: Where files are meanwhile.
        task: The settings of the work.
        give_up: Returns whether the worker wants its jobs back.
        trouble: Logs what a job is waiting for.
    """

    def __init__(
        self,
        server: Server,
        jobs: Jobs,
        scratch: Scratch,
        task: Task,
        give_up: Callable[[], bool] = lambda: False,
        trouble: Trouble | None = None,
    ) -> None:
        self.server = server
        self.jobs = jobs
        self.scratch = scratch
        self.task = task
        self.give_up = give_up
        self.trouble = trouble or Trouble()

    def do(self, job: Job, slot: int = 0, device: str = "cpu", lock: int | None = None) -> State:
        """Computes a job and records how it ended; errors are recorded, not raised.

        Args:
            job: A claimed job.
            slot: Number of the scratch folder that is used.
            device: What the application is to run on.
            lock: File descriptor of the device's lock.

        Raises:
            DatabaseError: It cannot be recorded, and the worker stops.
        """
        with log.thread_about_study(job.study_uid):
            return self._do_and_note(job, slot, device, lock)

    def _do_and_note(self, job: Job, slot: int, device: str, lock: int | None) -> State:
        _log.info("job %d: series %s, %d slices", job.id, job.series, job.slices)
        try:
            self._note(self._do(job, slot, device, lock))
        except (UnreachableError, NoRoomError, DatabaseError) as error:
            self._note(partial(self.jobs.try_later, job.id, _one_line(error)))
        except GoneError as error:
            self._note(self._gone(job, error))
        except TooLargeError as error:
            self._note(partial(self.jobs.refuse, job.id, _one_line(error)))
        except Exception as error:  # of a network, a disk, a fault: it may have passed by then
            _log.debug("job %d", job.id, exc_info=True)
            self._note(partial(self.jobs.fail, job.id, _one_line(error)))
        ended = self.jobs.get(job.id)
        _log.info("job %d is %s: %s", job.id, ended.state, ended.message)
        return ended.state

    def store(self) -> None:
        """Stores and forwards computed results that are due; errors are recorded."""
        for job in self.jobs.to_store():
            if self.give_up():
                return
            with log.thread_about_study(job.study_uid):
                self._store(job)

    def take_up(self) -> None:
        """Recovers what a killed worker left in the scratch folder and the database."""
        for job in self.jobs.newest(State.RUNNING):
            if self._is_complete(job):
                self.jobs.keep(job.id, _finding(self.scratch.kept(_key(job))))
            else:
                self.jobs.revive(job.id)
        self.scratch.clear()
        if self.scratch.keeps():  # of jobs that were done, but not dropped yet
            for job in (*self.jobs.newest(State.DONE), *self.jobs.newest(State.SUPERSEDED)):
                self.scratch.drop(_key(job))

    def _note(self, action: Callable[[], object]) -> None:
        """Records how a job ended, as soon as the database is writable."""
        while True:
            try:
                action()
                return
            except DatabaseError as error:
                self.trouble.begins(DATABASE, error)
                if self.give_up():
                    raise
                time.sleep(_LOOK_SECONDS)

    def _gone(self, job: Job, error: GoneError) -> Callable[[], object]:
        """A missing series may still arrive; one that stays missing was deleted."""
        how = self.jobs.fail if job.tries < _GONE_TRIES else self.jobs.refuse
        return partial(how, job.id, _one_line(error))

    def _do(self, job: Job, slot: int, device: str, lock: int | None) -> Callable[[], object]:
        """Computes a job and returns the call that records how it ended."""
        if self._is_complete(job):  # by a worker that was killed, or before the job was given up
            return partial(self.jobs.keep, job.id, _finding(self.scratch.kept(_key(job))))
        patient = self.server.patient(job.series)
        with self.scratch.folder(slot, job.bytes) as folder:
            if not self._fetch(job, folder / "input"):
                return partial(self.jobs.hand_back, job.id)  # no effect if it is not wanted
            ended = self._run(job, folder, device, lock)
            if ended.why == HANDED_BACK:
                return partial(self.jobs.hand_back, job.id)
            if ended.why == SUPERSEDED:
                return lambda: None
            if ended.why or ended.code not in (0, EXIT_REFUSED):
                said = ended.why or _words(ended, patient)
                return partial(self.jobs.fail, job.id, said, ended.code)
            if ended.code == EXIT_REFUSED:
                return partial(self.jobs.refuse, job.id, _words(ended, patient), ended.code)
            return self._keep(job, folder)

    def _keep(self, job: Job, folder: Path) -> Callable[[], object]:
        try:
            objects(folder / "output")
        except InputError as error:
            return partial(self.jobs.fail, job.id, f"exit code 0, but: {error}", 0)
        if not self._is_wanted(job):
            return lambda: None
        finding = _finding(folder / "output")
        self.scratch.keep(folder, _key(job))
        return partial(self.jobs.keep, job.id, finding)

    def _is_complete(self, job: Job) -> bool:
        """Whether the results of a job are kept, all of them."""
        kept = self.scratch.kept(_key(job))
        try:
            return kept is not None and objects(kept) is not None
        except InputError:
            return False

    def _is_wanted(self, job: Job) -> bool:
        """Whether a job is still running; True if the database cannot say."""
        try:
            return self.jobs.is_running(job.id)
        except DatabaseError:
            return True

    def _fetch(self, job: Job, folder: Path) -> bool:
        """Gets the files; False if the worker wants the job back or it is no longer wanted."""
        instances = self.server.instances(job.series)
        if content_hash(instances) != job.input_hash:
            # No server reports deleted slices, so the series is requested as well.
            self.jobs.ask_for(instance.id for instance in instances)
            raise RetryableError("the series has changed; it is checked again once it is stable")
        with closing(fetch_all(self.server, instances, folder)) as fetched:
            for _ in fetched:
                if self.give_up() or not self._is_wanted(job):
                    return False
        return True

    def _run(self, job: Job, folder: Path, device: str, lock: int | None) -> Ended:
        places = {"{input}": str(folder / "input"), "{output}": str(folder / "output")}
        return run(
            [_fill(part, places) for part in self.task.command],
            environment=_environment(device, folder / "tmp"),
            folder=folder / "tmp",  # nothing that others may write to
            keep=() if lock is None else (lock,),
            on_start=lambda pid, born: self.jobs.note_process(job.id, pid, born),
            watch=self._watch(job, folder),
        )

    def _watch(self, job: Job, folder: Path) -> Callable[[], str | None]:
        """Returns a function that returns why the application must end, or None."""
        limit = time.monotonic() + self.task.timeout
        due = time.monotonic() + _LOOK_SECONDS

        def look() -> str | None:
            nonlocal due
            if self.give_up():
                return HANDED_BACK
            now = time.monotonic()
            if now > limit:
                return f"timed out after {self.task.timeout:.0f} seconds"
            if now < due:
                return None
            due = now + _LOOK_SECONDS
            if not self._is_wanted(job):
                return SUPERSEDED
            used = self.scratch.used(folder)
            if used > self.scratch.share:
                return f"took {used} bytes of the scratch folder, more than its share"
            return None

        return look

    def _store(self, job: Job) -> None:
        if not self._is_complete(job):
            lost = "its results are no longer in the scratch folder"
            self._note(partial(self.jobs.compute_again, job.id, lost))
            return
        try:
            self._deliver(job, self.scratch.kept(_key(job)) or Path())
        except Exception as error:
            _log.debug("job %d", job.id, exc_info=True)
            if not job.deliveries:
                _log.warning("job %d is waiting to be stored: %s", job.id, error)
            self._note(partial(self.jobs.store_later, job.id, _one_line(error)))
            return
        _log.info("job %d is stored", job.id)

    def _deliver(self, job: Job, folder: Path) -> None:
        """Stores and forwards what a job has computed; all of it can be repeated."""
        stored: list[str] = []
        for path in objects(folder):
            stored.append(self.server.store(path))
            self.jobs.note_results(job.id, stored)
        sent = list(job.sent)
        for target in self.task.forward if stored else ():
            if target not in sent:
                self.server.forward(target, stored)
                sent.append(target)
                self.jobs.note_sent(job.id, sent)
        before = self.jobs.before(job.id)
        if self.task.delete_superseded:
            for old in before:
                for instance in set(old.results) - set(stored):
                    self.server.delete(instance, OWN_MANUFACTURER)
                if old.results:
                    self.jobs.note_results(old.id, ())
        self.jobs.finish(job.id, job.finding or "")
        for done in (job, *before):
            self.scratch.drop(_key(done))


def objects(folder: Path) -> list[Path]:
    """The DICOM files of a result, exactly those that result.json lists.

    Raises:
        InputError: There is no result.json, a file that it lists is missing, or a file is there
            that it does not list.
    """
    try:
        listed = [name for study in read_result(folder)["studies"] for name in study["files"]]
        names = [name for name in listed if isinstance(name, str) and Path(name).name == name]
    except (KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"Expected the files of each study in {RESULT_FILE}, found none"
        ) from error
    if len(names) != len(listed) or len(set(names)) != len(names):
        raise InputError(f"Expected names of different files in {RESULT_FILE}, found others")
    paths = [folder / name for name in sorted(names)]
    absent = [path.name for path in paths if path.is_symlink() or not path.is_file()]
    if absent:
        raise InputError(f"Expected the {len(paths)} files that {RESULT_FILE} lists, "
                         f"found {len(paths) - len(absent)}")  # fmt: skip
    more = set(folder.rglob("*.dcm")) - set(paths)
    if more:
        raise InputError(f"Expected {RESULT_FILE} to list every object, found {len(more)} more")
    return paths


def _key(job: Job) -> str:
    """Identifies the source of a job's results across databases."""
    return f"{job.series} {job.input_hash}"


def _one_line(error: BaseException) -> str:
    return one_line(str(error)) or type(error).__name__


def _words(ended: Ended, patient: Sequence[str]) -> str:
    """Returns the application's last output without patient data."""
    if ended.code < 0:
        return f"killed by signal {-ended.code}"
    return one_line(_without(ended.words, patient)) or f"ended with exit code {ended.code}"


def _fill(part: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        part = part.replace(name, value)
    return part


def _environment(device: str, tmp: Path) -> dict[str, str]:
    """The worker's environment without its secrets, with errors as text."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) and name != "RENALSEG_LOG"
    }
    for name in set(_PATHS) & set(kept):  # its working directory is not the worker's
        parts = [str(Path(part).absolute()) for part in kept[name].split(os.pathsep) if part]
        kept[name] = os.pathsep.join(parts)
    return {**kept, "RENALSEG_DEVICE": device, "TMPDIR": str(tmp)}


def _finding(folder: Path | None) -> str:
    """Summarizes the findings of a job, one line per study."""
    studies = read_result(folder or Path())["studies"]
    said = "; ".join(str(study["finding"]) for study in studies)
    return one_line(said) or "nothing eligible"


def _without(text: str, names: Sequence[str]) -> str:
    """Removes a patient's name, each part of the name, and the ID from a text."""
    parts = {part for name in names for part in (name, *re.split(r"[\^=\s]+", name))}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) > 2:  # shorter ones identify nobody and occur in any text
            text = re.sub(re.escape(part), "[removed]", text, flags=re.IGNORECASE)
    return text
