"""One job: fetches a series, runs the application, and keeps the results until stored."""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from renalseg.errors import EXIT_REFUSED, InputError, RetryableError
from renalseg.output.folder import RESULT_FILE, read_result
from renalseg.runtime import log
from renalseg.runtime.harmless import one_line
from renalseg.worker.database import DatabaseError
from renalseg.worker.earlier import EarlierResults, object_names
from renalseg.worker.http import PREFIXES, AnswerError, GoneError, Trouble, UnreachableError
from renalseg.worker.job import Job, State
from renalseg.worker.jobs import Jobs
from renalseg.worker.process import Ended, run
from renalseg.worker.rules import OWN_MANUFACTURER, content_hash
from renalseg.worker.scratch import NoRoomError, Scratch, TooLargeError
from renalseg.worker.server import Instance, Server, fetch_all
from renalseg.worker.task import PRIOR_CT, Task

HANDED_BACK = "handed back"
SUPERSEDED = "superseded"
DATABASE = "the database"
_LOOK_SECONDS = 2.0  # seconds between checks that walk through a folder
_GONE_TRIES = 3  # seconds after which a series that the server lacks counts as deleted
_PATHS = ("PYTHONPATH", "RENALSEG_BUNDLES", "RENALSEG_CACHE", "HOLOSCAN_MODEL_PATH")
_log = logging.getLogger(__name__)


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
        self.earlier = EarlierResults(server, jobs)
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
        for job in self.jobs.to_deliver():
            if self.give_up():
                return
            with log.thread_about_study(job.study_uid):
                self._deliver(job)

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
        start = None if job.corrects is None else self.jobs.corrected_by(job)
        if job.corrects is not None and start is None:
            return partial(self.jobs.refuse, job.id, "the result that was edited is superseded")
        patient = self.server.patient(job.series)
        with self.scratch.folder(slot, job.bytes) as folder:
            if not self._fetch(job, start, folder):
                return partial(self.jobs.hand_back, job.id)  # no effect if it is not wanted
            prior = self._fetch_prior(job, folder)  # now: the server may be away afterward
            execute = partial(self._run, job, folder, device, lock)
            ended = execute(self.task.command if start is None else self.task.measure)
            if ended.code == 0 and not ended.why and prior is not None:
                self._fetch_prior_ct(job, prior, folder)
                ended = self._compare(job, folder, execute)
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

    def _fetch(self, job: Job, start: Job | None, folder: Path) -> bool:
        """Gets what a job is of, and of a correction the CT and the result that it starts from.

        Returns:
            False if the worker wants the job back or it is no longer wanted.
        """
        instances = self.server.instances(job.series)
        if content_hash(instances) != job.input_hash:
            # No server reports deleted slices, so the series is requested as well.
            self.jobs.ask_for(job.series, (instance.id for instance in instances))
            raise RetryableError("the series has changed; it is checked again once it is stable")
        if start is None:
            return self._save(job, instances, folder / "input")
        self.earlier.fetch(start, folder / "earlier")
        ct = self.server.instances(self.jobs.source(start).series)
        edited = self._save(job, instances, folder / "edited")
        return edited and self._save(job, ct, folder / "input")

    def _save(self, job: Job, instances: Sequence[Instance], folder: Path) -> bool:
        """Gets files; False if the worker wants the job back or it is no longer wanted."""
        folder.mkdir(mode=0o700, exist_ok=True)
        with closing(fetch_all(self.server, instances, folder)) as fetched:
            for _ in fetched:
                if self.give_up() or not self._is_wanted(job):
                    return False
        return True

    def _fetch_prior(self, job: Job, folder: Path) -> Job | None:
        """Gets the earlier result of the patient; what the server no longer has is none."""
        try:
            prior = self.earlier.prior(job) if self.task.compare else None
            if prior is not None:
                self.earlier.fetch(prior, folder / "prior")
            return prior
        except (AnswerError, InputError) as error:
            _log.warning("job %d is not compared: %s", job.id, _one_line(error))
            return None

    def _fetch_prior_ct(self, job: Job, prior: Job, folder: Path) -> None:
        """Gets the CT of the earlier result, if it can be had and there is room for both."""
        source = self.jobs.source(prior)
        try:
            if job.bytes + source.bytes <= self.scratch.share:
                self.scratch.check_room(source.bytes)
                self._save(job, self.server.instances(source.series), folder / "prior_ct")
        except (AnswerError, GoneError, NoRoomError, UnreachableError):
            shutil.rmtree(folder / "prior_ct", ignore_errors=True)

    def _compare(self, job: Job, folder: Path, execute: Callable[[Sequence[str]], Ended]) -> Ended:
        """Compares a result with the earlier one; what says both takes its place.

        A comparison that fails leaves the result as it is: what was found must not wait for it.
        """
        with_ct = PRIOR_CT if (folder / "prior_ct").is_dir() else ()
        ended = execute((*self.task.compare, *with_ct))
        if ended.why in (HANDED_BACK, SUPERSEDED):
            return ended
        if ended.code == 0 and not ended.why and (folder / "compared" / RESULT_FILE).is_file():
            shutil.rmtree(folder / "output")
            (folder / "compared").rename(folder / "output")
        else:
            said = ended.why or _words(ended, self.server.patient(job.series))
            _log.warning("job %d is not compared: %s", job.id, said)
        return Ended(0, "")

    def _run(
        self, job: Job, folder: Path, device: str, lock: int | None, command: Sequence[str]
    ) -> Ended:
        names = ("input", "output", "earlier", "prior", "prior_ct", "compared")
        places = {f"{{{name}}}": str(folder / name) for name in names}
        edited = next(iter(sorted((folder / "edited").glob("*"))), folder)
        return run(
            [_fill(part, places | {"{edited}": str(edited)}) for part in command],
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

    def _deliver(self, job: Job) -> None:
        """Stores what a job has computed, then sends it on; all of it can be repeated."""
        try:
            if job.state == State.STORING and not self._store(job):
                return
            self._forward(job.id)
        except Exception as error:
            _log.debug("job %d", job.id, exc_info=True)
            if not self.jobs.get(job.id).deliveries:
                _log.warning("job %d is waiting to be delivered: %s", job.id, error)
            self._note(partial(self.jobs.deliver_later, job.id, _one_line(error)))

    def _store(self, job: Job) -> bool:
        """Stores the results of a job; False if they are lost or no longer wanted."""
        if not self._is_complete(job):
            lost = "its results are no longer in the scratch folder"
            self._note(partial(self.jobs.compute_again, job.id, lost))
            return False
        stored: list[str] = []
        for path in objects(self.scratch.kept(_key(job)) or Path()):
            stored.append(self.server.store(path))
            self.jobs.note_results(job.id, stored)
        _log.info("job %d is stored", job.id)
        return self.jobs.stored(job.id)

    def _forward(self, number: int) -> None:
        """Sends the results of a job to each target that lacks them, and ends the job."""
        job = self.jobs.get(number)
        sent = list(job.sent)
        for target in self.task.forward if job.results else ():
            if target not in sent:
                self._send(job, target)
                sent.append(target)
                self.jobs.note_sent(number, sent)
        before = self.jobs.before(number)
        if self.task.delete_superseded:
            for old in before:
                for result in set(old.results) - set(job.results):
                    self.server.delete(result, OWN_MANUFACTURER)
                if old.results:
                    self.jobs.note_results(old.id, ())
        kept = self.scratch.kept(_key(job))
        text = "" if kept is None else (kept / RESULT_FILE).read_text(encoding="utf-8")
        self.jobs.finish(number, job.finding or "", text)
        for done in (job, *before):
            self.scratch.drop(_key(done))

    def _send(self, job: Job, target: str) -> None:
        """Sends results to a target, and stores them again for the next try if they are gone."""
        try:
            self.server.forward(target, job.results)
        except GoneError:
            self._store(job)
            raise


def objects(folder: Path) -> list[Path]:
    """The DICOM files of a result, exactly those that result.json lists.

    Raises:
        InputError: There is no result.json, a file that it lists is missing, or a file is there
            that it does not list.
    """
    paths = [folder / name for name in object_names(read_result(folder)["studies"])]
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
        if not name.startswith(PREFIXES) and name != "RENALSEG_LOG"
    }
    for name in set(_PATHS) & set(kept):  # its working directory is not the worker's
        parts = [str(Path(part).absolute()) for part in kept[name].split(os.pathsep) if part]
        kept[name] = os.pathsep.join(parts)
    return {**kept, "RENALSEG_DEVICE": device, "TMPDIR": str(tmp)}


def _finding(folder: Path | None) -> str:
    """Summarizes the findings of a job, one line per study."""
    studies = read_result(folder or Path())["studies"]
    more = {"corrected": "corrected by a person", "comparison": "compared with an earlier study"}
    said = "; ".join(
        ", ".join((str(study["finding"]), *(more[name] for name in more if study.get(name))))
        for study in studies
    )
    return one_line(said) or "nothing eligible"


def _without(text: str, names: Sequence[str]) -> str:
    """Removes a patient's name, each part of the name, and the ID from a text."""
    parts = {part for name in names for part in (name, *re.split(r"[\^=\s]+", name))}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) > 2:  # shorter ones identify nobody and occur in any text
            text = re.sub(re.escape(part), "[removed]", text, flags=re.IGNORECASE)
    return text
