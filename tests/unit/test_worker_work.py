from __future__ import annotations

import json
import os
import sqlite3
import sys
import textwrap
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from renalseg.errors import ConfigError, RetryableError
from renalseg.worker.http import Connection
from renalseg.worker.job import Backoff, Job, State, Step
from renalseg.worker.jobs import Jobs
from renalseg.worker.orthanc.client import Orthanc
from renalseg.worker.orthanc.feed import Feed
from renalseg.worker.rules import Rule
from renalseg.worker.scratch import Scratch
from renalseg.worker.task import DEFAULT_COMMAND, Task
from renalseg.worker.work import Work
from tests.factories.fake_orthanc import FakeOrthanc, serve

# Copies the number of slices into a result.
GOOD = """
out.joinpath("a.seg.dcm").write_text(f"{len(list(source.iterdir()))} slices")
out.joinpath("b.sr.dcm").write_text("report")
result("tumor found", "a.seg.dcm", "b.sr.dcm")
"""


@pytest.fixture
def server() -> Iterator[FakeOrthanc]:
    with serve(FakeOrthanc()) as running:
        yield running


class Bench:
    """A worker's parts, with an application of a few lines."""

    def __init__(self, server: FakeOrthanc, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.orthanc = Orthanc(Connection(server.url))
        self.now = time.time()
        self.jobs = Jobs(folder / "jobs.db", Backoff(tries=3), clock=lambda: self.now)
        self.feed = Feed(self.orthanc, self.jobs, Rule(), backlog=True)
        self.scratch = Scratch(folder, 1_000_000, 1)
        self.give_up = False

    def do(self, program: str, job: Job | None = None, **task: object) -> Job:
        """Do the next job by a program, which has the paths `source` and `out`."""
        self.feed.poll()
        job = job or self.jobs.claim("cpu")
        assert job is not None
        command = (sys.executable, "-c", _HEAD + textwrap.dedent(program), "{input}", "{output}")
        whole = Task(command, **task)  # type: ignore[arg-type]
        work = Work(self.orthanc, self.jobs, self.scratch, whole, lambda: self.give_up)
        self.work = work
        work.do(job)
        work.store()
        return self.jobs.get(job.id)


_HEAD = """
import os, pathlib, sys, time
import json
source, out = map(pathlib.Path, sys.argv[1:])
def result(finding, *files):
    study = {"finding": finding, "files": files}
    out.joinpath("result.json").write_text(json.dumps({"studies": [study]}))
"""


@pytest.fixture
def bench(server: FakeOrthanc, tmp_path: Path) -> Bench:
    server.add("a", 20)
    return Bench(server, tmp_path)


def test_results_are_stored(bench: Bench) -> None:
    job = bench.do(GOOD)
    assert (job.state, job.finding, job.exit_code) == (State.DONE, "tumor found", 0)
    assert sorted(bench.server.stored.values()) == [b"20 slices", b"report"]
    assert set(job.results) == set(bench.server.stored)


def test_the_scratch_folder_is_empty_afterwards(bench: Bench) -> None:
    bench.do(GOOD)
    assert list(bench.scratch.root.iterdir()) == []


def test_nothing_found_is_done_too(bench: Bench) -> None:
    job = bench.do("out.joinpath('result.json').write_text('{\"studies\": []}')")
    assert (job.state, job.finding, job.results) == (State.DONE, "nothing eligible", ())


def test_the_findings_of_all_studies_are_kept(bench: Bench) -> None:
    studies = [{"finding": name, "files": []} for name in ("refused", "tumor found")]
    text = json.dumps({"studies": studies})
    job = bench.do(f"out.joinpath('result.json').write_text('{text}')")
    assert job.finding == "refused; tumor found"


@pytest.mark.parametrize(
    ("program", "state", "message"),
    [
        ("print('a\\ngap of 5 mm\\n', file=sys.stderr); sys.exit(2)", State.REFUSED, "gap of 5 mm"),
        ("print('disk full', file=sys.stderr); sys.exit(75)", State.RETRY, "disk full"),
        ("sys.exit(1)", State.RETRY, "ended with exit code 1"),
        ("os.kill(os.getpid(), 9)", State.RETRY, "killed by signal 9"),
    ],
)
def test_how_the_application_ends(bench: Bench, program: str, state: State, message: str) -> None:
    job = bench.do(program)
    assert (job.state, job.message) == (state, message)
    assert bench.server.stored == {}


def test_messages_hold_no_patient(bench: Bench) -> None:
    job = bench.do("print('ROE^Jane, Roe Jane: mrn4711 in z=5', file=sys.stderr); sys.exit(2)")
    assert job.message is not None
    assert "5" in job.message
    for part in ("roe", "jane", "4711"):
        assert part not in job.message.lower()


def test_the_application_gets_the_device_but_no_secrets(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENALSEG_ORTHANC_PASSWORD", "open sesame")
    bench.do(
        """
        out.joinpath("a.dcm").write_text(os.environ["RENALSEG_DEVICE"] + os.environ["TMPDIR"])
        out.joinpath("b.dcm").write_text(repr(dict(os.environ)))
        result("no tumor found", "a.dcm", "b.dcm")
        """
    )
    device, rest = bench.server.stored.values()
    assert device.startswith(b"cpu" + os.fsencode(bench.scratch.root))
    assert b"TMPDIR" in rest
    assert b"open sesame" not in rest


def test_an_application_that_takes_too_long_is_ended(bench: Bench) -> None:
    job = bench.do("time.sleep(60)", timeout=0.5)
    assert (job.state, job.message) == (State.RETRY, "timed out after 0 seconds")


def test_an_application_that_fills_the_disk_is_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("renalseg.worker.work._LOOK_SECONDS", 0.1)
    job = bench.do("out.joinpath('large').write_bytes(bytes(2_000_000)); time.sleep(60)")
    assert job.state == State.RETRY
    assert "more than its share" in (job.message or "")


def test_what_does_not_fit_is_refused_before_it_is_fetched(bench: Bench) -> None:
    bench.scratch.share = 100
    job = bench.do(GOOD)
    assert job.state == State.REFUSED
    assert "at most 100 bytes" in (job.message or "")
    assert not [path for _, path, _ in bench.server.requests if path.endswith("/file")]


def test_a_worker_that_stops_gets_the_job_back(bench: Bench) -> None:
    bench.give_up = True
    job = bench.do(GOOD)
    assert (job.state, job.tries) == (State.QUEUED, 0)
    assert bench.server.stored == {}


@pytest.mark.parametrize("path", ["/instances/a-3/file", "/series/a"])
def test_an_orthanc_that_fails_is_tried_again(bench: Bench, path: str) -> None:
    bench.feed.poll()
    bench.server.faults[path] = [500]
    job = bench.do(GOOD)
    assert job.state == State.RETRY
    assert "500" in (job.message or "")


def test_a_password_that_is_refused_is_no_fault_of_the_study(bench: Bench) -> None:
    bench.feed.poll()
    bench.server.faults["/series/a"] = [401]
    assert bench.do(GOOD).state == State.RETRY


def test_a_file_that_came_broken_is_fetched_again(bench: Bench) -> None:
    bench.feed.poll()
    job = bench.jobs.claim("cpu")
    instances = bench.orthanc.instances("a")
    bench.orthanc.instances = lambda series: instances  # type: ignore[method-assign]
    bench.server.files["a"]["a-3"] = b"broken"
    job = bench.do(GOOD, job)
    assert job.state == State.RETRY
    assert "Expected 9.a-3 with MD5" in (job.message or "")


def test_a_series_that_was_deleted_is_refused(bench: Bench) -> None:
    bench.feed.poll()
    bench.server.tags.clear()
    bench.server.files.clear()
    bench.jobs.backoff = Backoff(first=1e-9)
    assert [bench.do(GOOD).state for _ in range(3)] == [State.RETRY, State.RETRY, State.REFUSED]


def test_a_series_that_changed_since_waits_for_its_news(bench: Bench) -> None:
    bench.feed.poll()
    job = bench.jobs.claim("cpu")
    bench.server.receive("a", 5, first=20)
    job = bench.do(GOOD, job)
    assert job.state == State.RETRY
    assert "has changed" in (job.message or "")
    bench.server.settle("a")
    assert bench.do(GOOD).state == State.DONE
    assert bench.jobs.get(job.id).state == State.SUPERSEDED


def test_late_slices_end_the_application(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("renalseg.worker.work._LOOK_SECONDS", 0.1)
    bench.feed.poll()
    job = bench.jobs.claim("cpu")
    watch = bench.jobs.note_process

    def more(number: int, pid: int, born: str) -> None:
        watch(number, pid, born)
        bench.server.add("a", 25)
        bench.feed.poll()

    monkeypatch.setattr(bench.jobs, "note_process", more)
    assert bench.do("time.sleep(60)", job).state == State.SUPERSEDED
    assert bench.server.stored == {}


@pytest.mark.parametrize(
    ("delete", "maker", "left"),
    [
        (False, "RenalSeg", {b"20 slices", b"25 slices", b"report"}),
        (True, "RenalSeg", {b"25 slices", b"report"}),
        (True, "Somebody else", {b"20 slices", b"25 slices", b"report"}),
    ],
)
def test_superseded_results_are_deleted_if_asked_and_own(
    bench: Bench, delete: bool, maker: str, left: set[bytes]
) -> None:
    bench.do(GOOD)
    bench.server.manufacturer = maker
    bench.server.add("a", 25)
    assert bench.do(GOOD, delete_superseded=delete).state == State.DONE
    assert set(bench.server.stored.values()) == left


def test_results_are_sent_on(bench: Bench) -> None:
    job = bench.do(GOOD, forward=("pacs", "dicomweb:pacs"))
    assert bench.server.forwarded == [
        ("modalities/pacs/store", list(job.results)),
        ("dicom-web/servers/pacs/stow", list(job.results)),
    ]


def test_an_unknown_target_is_tried_again(bench: Bench) -> None:
    job = bench.do(GOOD, forward=("nowhere",))
    assert job.state == State.FORWARDING
    assert "no target nowhere" in (job.message or "")


def test_a_program_that_is_not_there_is_said(bench: Bench) -> None:
    bench.feed.poll()
    job = bench.jobs.claim("cpu")
    assert job is not None
    task = Task(("/no/such/program", "{input}", "{output}"))
    Work(bench.orthanc, bench.jobs, bench.scratch, task).do(job)
    assert "/no/such/program" in (bench.jobs.get(job.id).message or "")


def test_a_command_is_split_as_a_shell_does() -> None:
    assert Task.parse("python -m 'my app' -i {input} -o={output}") == (
        *("python", "-m", "my app", "-i", "{input}", "-o={output}"),
    )
    with pytest.raises(ConfigError, match="got 'python -m app'"):
        Task.parse("python -m app")


def test_a_worker_killed_after_storing_stores_nothing_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.jobs, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        bench.do(GOOD)
    monkeypatch.undo()
    (job,) = bench.jobs.newest(State.FORWARDING)
    stored = set(bench.server.stored)
    assert set(job.results) == stored
    bench.work.take_up()
    bench.work.store()
    again = bench.jobs.get(job.id)
    assert (again.state, again.tries, set(again.results)) == (State.DONE, 1, stored)
    assert set(bench.server.stored) == stored


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("", "Expected result.json of a run"),
        ("out.joinpath('a.dcm').write_text('x')", "Expected result.json of a run"),
        ("result('tumor found', 'a.dcm')", "Expected the 1 files that result.json lists, found 0"),
        ("out.joinpath('a.dcm').symlink_to(sys.executable); result('x', 'a.dcm')", "found 0"),
        ("out.joinpath('a.dcm').mkdir(); result('x', 'a.dcm')", "found 0"),
        ("out.joinpath('a.dcm').write_text('x'); result('no tumor found')", "found 1 more"),
        ("result('tumor found', '/etc/hostname')", "names of different files"),
        ("result('tumor found', '../input/00000.dcm')", "names of different files"),
        ("result('tumor found', 7)", "names of different files"),
        ("out.joinpath('result.json').write_text('[' * 100000)", "Expected"),
        ("out.joinpath('result.json').write_text('[]')", "Expected a list of studies"),
        ("out.joinpath('result.json').write_bytes(bytes(range(256)))", "Expected result.json"),
        (
            "out.joinpath('result.json').write_text('{\"studies\": [{\"finding\": 1}]}')",
            "Expected the files of each study",
        ),
        (
            "out.joinpath('result.json').write_text("
            '\'{"studies": [{"finding": 1, "files": null}]}\')',
            "Expected the files of each study",
        ),
    ],
)
def test_success_without_its_results_is_a_failure(bench: Bench, program: str, message: str) -> None:
    job = bench.do(program)
    assert (job.state, job.exit_code) == (State.RETRY, 0)
    assert message in (job.message or "")
    assert bench.server.stored == {}
    assert list(bench.scratch.root.iterdir()) == []


def counted(bench: Bench, program: str = GOOD) -> str:
    """A program that leaves a line for each time that it runs."""
    return f"open({str(bench.folder / 'runs')!r}, 'a').write('x')\n{program}"


def runs(bench: Bench) -> int:
    return len((bench.folder / "runs").read_text())


def test_results_that_orthanc_does_not_take_are_stored_later(bench: Bench) -> None:
    bench.feed.poll()
    bench.server.faults["/instances"] = []
    job = bench.jobs.claim("cpu")
    bench.orthanc.store = failing(bench.orthanc.store, 3)  # type: ignore[method-assign]
    job = bench.do(counted(bench), job)
    assert job.state == State.STORING
    assert job.message == "away"
    for _ in range(4):
        bench.now += 3600
        bench.work.store()
    assert bench.jobs.get(job.id).state == State.DONE
    assert sorted(bench.server.stored.values()) == [b"20 slices", b"report"]
    assert (runs(bench), bench.jobs.get(job.id).tries) == (1, 1)
    assert list(bench.scratch.root.iterdir()) == []


def failing(function, times: int):  # type: ignore[no-untyped-def]
    """A function that fails some times before it works."""
    left = iter(range(times))

    def call(*values: object) -> object:
        if next(left, None) is not None:
            raise RetryableError("away")
        return function(*values)

    return call


def test_a_target_that_is_away_for_days_gets_what_was_computed(bench: Bench) -> None:
    bench.server.faults["/dicom-web"] = [500] * 100
    job = bench.do(counted(bench), forward=("pacs", "dicomweb:pacs"))
    assert (job.state, job.step) == (State.FORWARDING, Step.STORED)
    uploads = len(bench.server.requests_of("POST", "/instances"))
    waits = []
    for _ in range(99):
        waits.append(bench.jobs.get(job.id).due - bench.now)
        bench.now = bench.jobs.get(job.id).due - 1
        bench.work.store()  # not due
        bench.now += 1
        bench.work.store()
    assert bench.jobs.get(job.id).deliveries == 100
    assert 450 <= max(waits) <= 900
    assert sum(waits) > 12 * 3600
    bench.now += 900
    bench.work.store()
    assert bench.jobs.get(job.id).state == State.DONE
    assert [path for path, _ in bench.server.forwarded] == [
        "modalities/pacs/store",
        "dicom-web/servers/pacs/stow",
    ]
    assert runs(bench) == 1
    noted = [state for _, state, _ in bench.jobs.events(job.id)]
    assert noted == ["queued", "running", "storing", "forwarding", "forwarding", "done"]
    assert len(bench.server.requests_of("POST", "/instances")) == uploads


def test_results_that_nobody_takes_for_a_week_wait_for_somebody(bench: Bench) -> None:
    bench.server.faults["/modalities"] = [500] * 3
    bench.jobs.backoff = Backoff(store=50)
    job = bench.do(counted(bench), forward=("pacs",))
    for _ in range(2):
        bench.now += 900
        bench.work.store()
    assert bench.jobs.get(job.id).state == State.DEAD
    bench.server.faults.clear()
    assert bench.jobs.get(job.id).step == Step.STORED
    bench.jobs.retry(job.id)
    bench.work.store()
    assert bench.jobs.get(job.id).state == State.DONE
    assert runs(bench) == 1


def test_results_outlive_the_worker(bench: Bench) -> None:
    bench.server.faults["/modalities"] = [500]
    job = bench.do(counted(bench), forward=("pacs",))
    bench.jobs.database.close()
    after = Bench(bench.server, bench.folder)
    after.now = bench.now + 3600
    work = Work(after.orthanc, after.jobs, after.scratch, Task(("none",), forward=("pacs",)))
    work.take_up()
    work.store()
    assert after.jobs.get(job.id).state == State.DONE
    assert len(bench.server.forwarded) == 1
    assert runs(bench) == 1


def test_a_worker_killed_before_it_notes_the_results_has_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.jobs, "keep", killed)
    with pytest.raises(KeyboardInterrupt):
        bench.do(counted(bench))
    monkeypatch.undo()
    bench.work.take_up()
    bench.work.store()
    (job,) = bench.jobs.newest(State.DONE)
    assert (job.finding, len(job.results), runs(bench)) == ("tumor found", 2, 1)
    assert list(bench.scratch.root.iterdir()) == []


def test_a_backup_that_is_restored_does_what_came_since_and_stores_nothing_twice(
    bench: Bench, tmp_path: Path
) -> None:
    bench.do(GOOD)
    (tmp_path / "backup").mkdir()
    bench.jobs.database.copy(tmp_path / "backup" / "jobs.db")
    bench.server.add("later", 21)
    bench.do(GOOD)
    stored = dict(bench.server.stored)
    restored = Bench(bench.server, tmp_path / "backup")
    job = restored.do(GOOD)
    assert (job.series, job.state) == ("later", State.DONE)
    assert [each.series for each in restored.jobs.newest()] == ["later", "a"]
    assert bench.server.stored == stored


@pytest.mark.parametrize("lost", ["all", "an object"])
def test_results_that_were_lost_are_computed_again(bench: Bench, lost: str) -> None:
    bench.orthanc.store = failing(bench.orthanc.store, 1)  # type: ignore[method-assign]
    job = bench.do(counted(bench), forward=("pacs",))
    (kept,) = bench.scratch.root.iterdir()
    if lost == "all":
        kept.rename(bench.folder / "away")
    else:
        (kept / "output" / "a.seg.dcm").unlink()
    bench.now += 3600
    bench.work.store()
    assert bench.jobs.get(job.id).state == State.QUEUED
    assert bench.do(counted(bench), forward=("pacs",)).state == State.DONE
    assert runs(bench) == 2


def test_results_that_are_gone_when_they_are_to_be_sent_are_stored_again(bench: Bench) -> None:
    bench.server.faults["/modalities"] = [404]
    job = bench.do(counted(bench), forward=("pacs",))
    assert job.state == State.FORWARDING
    assert len(bench.server.requests_of("POST", "/instances")) == 2 * len(job.results)
    bench.now += 3600
    bench.work.store()
    assert bench.jobs.get(job.id).step == Step.FORWARDED
    assert runs(bench) == 1


def test_what_is_computed_stands_until_late_slices_are_done(bench: Bench) -> None:
    bench.server.faults["/modalities"] = [500]
    old = bench.do(GOOD, forward=("pacs",))
    bench.server.add("a", 25)
    new = bench.do(GOOD, forward=("pacs",))
    assert new.state == State.DONE
    assert bench.jobs.get(old.id).state == State.SUPERSEDED
    assert list(bench.scratch.root.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["/series/a/patient", "/series/a/instances", "/instances/a-3/file"]
)
def test_one_answer_that_there_is_nothing_is_not_believed(bench: Bench, path: str) -> None:
    bench.feed.poll()
    bench.server.faults[path] = [404]
    assert bench.do(GOOD).state == State.DONE
    bench.server.add("b")
    bench.feed.poll()
    path = path.replace("/a", "/b")
    bench.server.faults[path] = [404, 404]
    assert bench.do(GOOD).state == State.RETRY
    bench.now += 60
    assert bench.do(GOOD).state == State.DONE


def test_a_sum_that_is_missing_once_gives_no_other_content(bench: Bench) -> None:
    bench.server.faults["/instances/a-3/attachments"] = [404]
    assert bench.do(GOOD).state == State.DONE
    bench.server.settle("a")
    assert bench.feed.poll() == []


def test_an_orthanc_that_is_away_uses_up_no_tries(bench: Bench) -> None:
    bench.feed.poll()
    for _ in range(4):
        bench.server.faults["/series/a"] = [503] * 3  # asked three times each
        job = bench.do(GOOD)
        assert (job.state, job.tries) == (State.RETRY, 0)
        bench.now += 30
    assert bench.do(GOOD).state == State.DONE


def test_a_full_disk_uses_up_no_tries(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10, 9, 1))
    job = bench.do(GOOD)
    assert (job.state, job.tries) == (State.RETRY, 0)
    assert "bytes free" in (job.message or "")
    monkeypatch.undo()
    bench.now += 30
    assert bench.do(GOOD).state == State.DONE


def test_a_file_that_came_in_part_is_fetched_again(bench: Bench) -> None:
    bench.server.md5 = False
    bench.feed.poll()
    instances = bench.orthanc.instances("a")
    bench.orthanc.instances = lambda series: instances  # type: ignore[method-assign]
    bench.server.files["a"]["a-3"] = b"slice"
    job = bench.do(GOOD)
    assert job.state == State.RETRY
    assert "Expected 9.a-3 with 12 bytes, got 5" in (job.message or "")


def test_a_series_of_which_slices_were_deleted_is_looked_at_again(bench: Bench) -> None:
    bench.server.add("a", 25)
    bench.feed.poll()
    del bench.server.files["a"]["a-24"]
    assert bench.do(GOOD).state == State.RETRY
    bench.now += 301
    assert bench.do(GOOD).state == State.DONE
    assert next(iter(bench.server.stored.values())) == b"24 slices"


@pytest.mark.slow
def test_nothing_in_the_current_folder_is_run(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = tmp_path / "hostile"
    for name in ("renalseg", "app"):
        (hostile / name).mkdir(parents=True)
        (hostile / name / "__init__.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    (hostile / "json.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    monkeypatch.chdir(hostile)
    bench.feed.poll()
    job = bench.jobs.claim("cpu")
    assert job is not None
    task = Task(Task.parse(DEFAULT_COMMAND))
    Work(bench.orthanc, bench.jobs, bench.scratch, task).do(job)
    assert not (tmp_path / "run").exists()
    assert bench.jobs.get(job.id).state == State.REFUSED  # the slices are no DICOM


def test_the_application_starts_in_a_folder_of_its_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/tmp")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(("lib", "", "/opt")))
    job = bench.do(
        """
        result(f"{pathlib.Path.cwd()} {os.listdir()} {os.environ['PYTHONPATH']}")
        """
    )
    where, rest = (job.finding or "").split(" ", 1)
    assert Path(where).parent.parent == bench.scratch.root
    assert rest == "[] /tmp/lib:/opt"


def test_the_end_of_a_job_is_noted_once_the_database_has_room(bench: Bench) -> None:
    """SQLite's own limit stands for a full disk."""
    bench.feed.poll()
    job = bench.jobs.claim("cpu")
    pages = int(bench.jobs.database.scalar("PRAGMA page_count"))
    keep = bench.jobs.keep
    full = threading.Event()

    def fill(*values: object) -> None:
        if not full.is_set():
            bench.jobs.database.change(f"PRAGMA max_page_count = {pages}")
            fill_up(bench.jobs.database._db)
            full.set()
            threading.Timer(
                0.3, bench.jobs.database.change, ["PRAGMA max_page_count = 100000"]
            ).start()
        keep(*values)  # type: ignore[arg-type]

    bench.jobs.keep = fill  # type: ignore[method-assign]
    assert bench.do(counted(bench), job).state == State.DONE
    assert full.is_set()
    assert runs(bench) == 1


def fill_up(database: sqlite3.Connection) -> None:
    while True:
        try:
            database.execute("INSERT INTO arrived VALUES (hex(randomblob(999)), 0)")
        except sqlite3.OperationalError:
            return


HOSTILE = """
from renalseg.commands.main import report_error
from tests.factories.road import run_with
from tests.factories.series import edit_all, write_case
from tests.integration.test_run import Bright
def spoil(ds):
    ds.add_new("SeriesInstanceUID", "LO", "../../EVIL")  # as LO: pydicom writes what it is told
write_case(source / "spoiled")
edit_all(sorted((source / "spoiled").iterdir()), spoil)
for path in source.glob("*.dcm"):
    path.unlink()
try:
    run_with(source, out, Bright())
except Exception as error:
    sys.exit(report_error(error))
"""


def test_a_series_whose_uid_is_a_path_is_refused(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    before = {path for path in tmp_path.rglob("*") if "EVIL" in path.name}
    job = bench.do(HOSTILE)
    assert (job.state, job.exit_code) == (State.REFUSED, 2), job.message
    assert "SeriesInstanceUID (0020,000E) should be digits and dots" in str(job.message)
    assert "EVIL" not in str(job.message)
    assert bench.server.stored == {}
    assert {path for path in tmp_path.rglob("*") if "EVIL" in path.name} == before == set()
