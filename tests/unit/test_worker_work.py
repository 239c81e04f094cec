from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from renalseg.errors import ConfigError
from renalseg.worker.client import Orthanc
from renalseg.worker.feed import Feed
from renalseg.worker.http import Connection
from renalseg.worker.job import Backoff, Job, State
from renalseg.worker.jobs import Jobs
from renalseg.worker.rules import Rule
from renalseg.worker.scratch import Scratch
from renalseg.worker.work import Task, Work
from tests.factories.fake_orthanc import FakeOrthanc, serve

# Copies the number of slices into a result.
GOOD = """
out.joinpath("a.seg.dcm").write_text(f"{len(list(source.iterdir()))} slices")
out.joinpath("b.sr.dcm").write_text("report")
out.joinpath("result.json").write_text('{"studies": [{"finding": "tumor found"}]}')
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
        self.jobs = Jobs(folder / "jobs.db", Backoff(tries=3))
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
        work.do(job)
        return self.jobs.get(job.id)


_HEAD = """
import os, pathlib, sys, time
source, out = map(pathlib.Path, sys.argv[1:])
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
    text = '{"studies": [{"finding": "refused"}, {"finding": "tumor found"}]}'
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
        """
    )
    device, *rest = bench.server.stored.values()
    assert device.startswith(b"cpu" + os.fsencode(bench.scratch.root))
    assert b"open sesame" not in rest[0]


def test_an_application_that_takes_too_long_is_ended(bench: Bench) -> None:
    job = bench.do("time.sleep(60)", timeout=0.5)
    assert (job.state, job.message) == (State.RETRY, "not done after 0 seconds")


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


@pytest.mark.parametrize("path", ["/instances/a-3/file", "/instances", "/series/a"])
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
    assert bench.do(GOOD).state == State.REFUSED


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
    assert job.state == State.RETRY
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
    (job,) = bench.jobs.newest(State.RUNNING)
    stored = set(bench.server.stored)
    assert set(job.results) == stored
    bench.jobs.revive(job.id)
    again = bench.do(GOOD)
    assert (again.id, again.state, set(again.results)) == (job.id, State.DONE, stored)
    assert set(bench.server.stored) == stored
