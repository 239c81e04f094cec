from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from renalseg.errors import ConfigError
from renalseg.worker.http import Connection
from renalseg.worker.job import Backoff, State
from renalseg.worker.jobs import Jobs
from renalseg.worker.loop import Stop, Worker
from renalseg.worker.metrics import exposition
from renalseg.worker.metrics import serve as serve_metrics
from renalseg.worker.orthanc.client import Orthanc
from renalseg.worker.orthanc.feed import Feed
from renalseg.worker.process import born
from renalseg.worker.rules import Rule
from renalseg.worker.scratch import Scratch
from renalseg.worker.work import Task, Work
from tests.factories.fake_orthanc import PATIENT, FakeOrthanc, serve
from tests.factories.orthanc import wait_for

COPY = """
import json, sys
open(sys.argv[2] + "/a.dcm", "w").write("result")
result = {"studies": [{"finding": "no tumor found", "files": ["a.dcm"]}]}
json.dump(result, open(sys.argv[2] + "/result.json", "w"))
"""


@pytest.fixture
def server() -> Iterator[FakeOrthanc]:
    with serve(FakeOrthanc()) as running:
        yield running


def make(
    server: FakeOrthanc, folder: Path, program: str = COPY, slots: int = 1, grace: float = 5
) -> Worker:
    orthanc, jobs, stop = (
        Orthanc(Connection(server.url)),
        Jobs(folder / "jobs.db", Backoff()),
        Stop(grace),
    )
    command = (sys.executable, "-c", program, "{input}", "{output}")
    work = Work(orthanc, jobs, Scratch(folder, 1_000_000, slots), Task(command), stop.now)
    feed = Feed(orthanc, jobs, Rule(), backlog=True)
    return Worker(feed, work, jobs, ["cpu"] * slots, stop, interval=0.1)


@pytest.fixture
def worker(server: FakeOrthanc, tmp_path: Path) -> Worker:
    return make(server, tmp_path)


class Running:
    """A worker that runs in a thread meanwhile."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.thread = threading.Thread(target=worker.run)

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.stop.ask()
        self.worker.stop.ask()
        self.thread.join(timeout=20)


def in_state(worker: Worker, state: State, count: int = 1) -> bool:
    return len(worker.jobs.newest(state)) == count


def test_what_arrives_is_done(worker: Worker, server: FakeOrthanc) -> None:
    server.add("a")
    with Running(worker):
        wait_for(lambda: in_state(worker, State.DONE), "the job")
        server.add("b")
        wait_for(lambda: in_state(worker, State.DONE, 2), "the second job")
    assert len(server.stored) == 1  # both are the same


def test_two_slots_work_at_once(server: FakeOrthanc, tmp_path: Path) -> None:
    worker = make(server, tmp_path, "import time; time.sleep(60)", slots=2)
    server.add("a")
    server.add("b")
    with Running(worker):
        wait_for(lambda: in_state(worker, State.RUNNING, 2), "both jobs")


def test_a_first_stop_lets_the_job_finish(server: FakeOrthanc, tmp_path: Path) -> None:
    worker = make(server, tmp_path, f"import time; time.sleep(1)\n{COPY}", grace=30)
    server.add("a")
    with Running(worker) as running:
        wait_for(lambda: worker.jobs.newest()[:1] and worker.jobs.newest()[0].pid, "the job")
        worker.on_signal(signal.SIGTERM, None)
        running.thread.join(timeout=20)
    assert in_state(worker, State.DONE)


def test_a_second_stop_hands_the_job_back(server: FakeOrthanc, tmp_path: Path) -> None:
    worker = make(server, tmp_path, "import time; time.sleep(60)", grace=60)
    server.add("a")
    with Running(worker) as running:
        wait_for(lambda: worker.jobs.newest()[:1] and worker.jobs.newest()[0].pid, "the job")
        worker.on_signal(signal.SIGTERM, None)
        worker.on_signal(signal.SIGTERM, None)
        running.thread.join(timeout=20)
        assert not running.thread.is_alive()
    assert in_state(worker, State.QUEUED)


def test_grace_has_an_end() -> None:
    stop = Stop(grace=0.05)
    assert not stop.now()
    stop.ask()
    assert stop.asked()
    time.sleep(0.1)
    assert stop.now()


def test_what_a_killed_worker_left_is_taken_up(worker: Worker, server: FakeOrthanc) -> None:
    server.add("a")
    worker.poll()
    job = worker.jobs.claim("cpu")
    assert job is not None
    orphan = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    )
    worker.jobs.note_process(job.id, orphan.pid, born(orphan.pid) or "")
    killed = worker.work.scratch.folder(0, 0)
    (killed.__enter__() / "tmp" / "a").touch()
    worker.reconcile()
    assert orphan.wait() == -signal.SIGTERM
    assert in_state(worker, State.QUEUED)
    assert list(worker.work.scratch.root.iterdir()) == []


def test_nothing_begins_while_orthanc_is_away(worker: Worker, server: FakeOrthanc) -> None:
    server.add("a")
    worker.poll()
    server.faults["/changes"] = [500]
    worker.poll()
    assert not worker.status.up
    assert not worker._do_one(0, "cpu")
    assert worker.jobs.newest()[0].tries == 0
    worker.poll()
    assert worker._do_one(0, "cpu")


def test_an_outage_is_said_once(
    worker: Worker, server: FakeOrthanc, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults["/changes"] = [500, 500, 500]
    for _ in range(4):
        worker.poll()
    said = [record.message for record in caplog.records if "waiting for" in record.message]
    assert len(said) == 1


def test_what_is_in_the_way_is_said_once_and_when_it_is_over(
    worker: Worker, server: FakeOrthanc, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "renalseg.worker")
    for status in (500, 401):
        server.faults["/changes"] = [status] * 3
        for _ in range(3):
            worker.poll()
    for _ in range(2):
        worker.poll()
    said = [record.message for record in caplog.records]
    assert len(said) == 4
    assert "with 500" in said[0]
    assert "with 401: check RENALSEG_ORTHANC_USER" in said[1]
    assert said[2:] == ["Orthanc works again", "Orthanc answers"]


def test_a_fault_of_the_worker_itself_ends_nothing(worker: Worker, server: FakeOrthanc) -> None:
    poll = worker.feed.poll
    worker.feed.poll = lambda: 1 // 0  # type: ignore[assignment,method-assign]
    with Running(worker):
        wait_for(worker.trouble.any, "the fault")
        assert not worker.ready()
        assert worker.alive()
        worker.feed.poll = poll  # type: ignore[method-assign]
        server.add("a")
        wait_for(lambda: in_state(worker, State.DONE), "the job")
        assert worker.ready()


def test_a_database_that_is_locked_is_waited_for(
    worker: Worker, server: FakeOrthanc, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "renalseg.worker")
    worker.jobs.database.change("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    server.add("a")
    with Running(worker), serve_metrics(worker, "127.0.0.1", 0) as address:
        wait_for(worker.trouble.any, "the worker to notice")
        time.sleep(1)
        assert ask(f"{address}/metrics") == 200
        assert ask(f"{address}/readyz") == 503
        other.execute("ROLLBACK")
        wait_for(lambda: in_state(worker, State.DONE), "the job")
        wait_for(lambda: ask(f"{address}/readyz") == 200, "readiness")
    other.close()
    said = [record.message for record in caplog.records]
    assert len([text for text in said if "waiting for the database" in text]) == 1
    assert said.count("the database works again") == 1


def test_nothing_begins_without_room(
    worker: Worker, server: FakeOrthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("a")
    worker.poll()
    usage = shutil.disk_usage(worker.work.scratch.root.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))
    assert not worker._do_one(0, "cpu")
    assert worker.trouble.any()
    monkeypatch.undo()
    assert worker._do_one(0, "cpu")
    assert not worker.trouble.any()


def test_what_waits_is_stored_as_soon_as_orthanc_is_back(
    worker: Worker, server: FakeOrthanc
) -> None:
    server.add("a")
    server.add("b")
    store = worker.work.server.store
    worker.work.server.store = lambda path: 1 // 0  # type: ignore[assignment,method-assign]
    with Running(worker):
        wait_for(lambda: in_state(worker, State.STORING, 2), "both jobs")
        wait_for(lambda: all(job.deliveries for job in worker.jobs.newest()), "a try of each")
        server.faults["/changes"] = [500]
        wait_for(lambda: worker.status.up is False or not server.faults["/changes"], "the outage")
        worker.work.server.store = store  # type: ignore[method-assign]
        wait_for(lambda: in_state(worker, State.DONE, 2), "both to be stored")


def values(text: str) -> dict[str, float]:
    """Each metric, checked to be in the text format."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP renalseg_\w+ .+|TYPE renalseg_\w+ \w+)", line)
            continue
        match = re.fullmatch(r'(renalseg_\w+(?:\{\w+="[^"]*"\})?) (\S+)', line)
        assert match, line
        found[match[1]] = float(match[2])
    return found


def test_metrics(worker: Worker, server: FakeOrthanc) -> None:
    for name in "abc":
        server.add(name)
    worker.poll()
    worker._do_one(0, "cpu")
    worker.work.store()
    failed = worker.jobs.claim("cpu")
    assert failed is not None
    worker.jobs.fail(failed.id, "no memory", 75)
    found = values(exposition(worker))
    assert found['renalseg_jobs{state="done"}'] == 1
    assert found['renalseg_jobs{state="retry"}'] == 1
    assert found['renalseg_jobs{state="dead"}'] == 0
    assert found["renalseg_queue_length"] == 2
    assert found["renalseg_retries_total"] == 1
    assert found["renalseg_oldest_unstored_seconds"] == 0
    assert found["renalseg_orthanc_up"] == 1
    assert found["renalseg_change_cursor"] == len(server.changes)
    assert found["renalseg_scratch_bytes"] == 0
    assert time.time() - found["renalseg_last_poll_timestamp_seconds"] < 60
    assert 0 < found["renalseg_job_seconds_sum"] < 60
    assert found["renalseg_job_seconds_count"] == 1
    assert found['renalseg_job_seconds_bucket{le="+Inf"}'] == 1


def test_a_job_counts_in_every_bucket_that_is_large_enough(
    worker: Worker, server: FakeOrthanc
) -> None:
    now = 1000.0
    worker.jobs.clock = lambda: now
    server.add("a")
    worker.poll()
    job = worker.jobs.claim("cpu")
    assert job is not None
    now = 1045.0
    worker.jobs.finish(job.id)
    found = values(exposition(worker))
    assert found["renalseg_job_seconds_sum"] == 45
    assert found['renalseg_job_seconds_bucket{le="30"}'] == 0
    assert found['renalseg_job_seconds_bucket{le="60"}'] == 1


def test_the_page_shows_jobs_and_reasons_but_no_patient(
    worker: Worker, server: FakeOrthanc
) -> None:
    identifier = "-".join(["0a1b2c3d"] * 5)
    for name in ("a", "b", identifier):
        server.add(name, SeriesInstanceUID=f"1.2.840.99.123456.{len(name)}")
    worker.poll()
    worker._do_one(0, "cpu")
    worker.work.store()
    for message in (f"<script> 1.2.840.99.123456.41 of {identifier}", "no memory"):
        job = worker.jobs.claim("cpu")
        assert job is not None
        worker.jobs.fail(job.id, message, 75)
    with serve_metrics(worker, "127.0.0.1", 0) as address:
        with urllib.request.urlopen(address) as answer:
            text = answer.read().decode()
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        request = urllib.request.Request(address, data=b"x")
        with pytest.raises(urllib.error.HTTPError, match="501"):
            urllib.request.urlopen(request)
    assert "<td>done</td><td>forwarded</td>" in text
    assert "<td>retry</td><td>received</td>" in text
    assert "<td>Orthanc</td><td>answers</td>" in text
    assert "no memory" in text
    done = worker.jobs.newest(State.DONE)[0]
    for hidden in ("<script>", "1.2.840", identifier, done.finding or "?", *PATIENT.values()):
        assert hidden not in text


def ask(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_health_and_readiness(worker: Worker, server: FakeOrthanc) -> None:
    server.faults["/changes"] = [500]
    with serve_metrics(worker, "127.0.0.1", 0) as address:
        assert ask(f"{address}/healthz") == 503  # not started
        with Running(worker):
            wait_for(lambda: ask(f"{address}/readyz") == 200, "readiness")
            assert ask(f"{address}/healthz") == 200
            assert ask(f"{address}/metrics") == 200
            assert ask(f"{address}/jobs") == 404
            server.faults["/changes"] = [500] * 1000
            wait_for(lambda: ask(f"{address}/readyz") == 503, "it to be not ready")
            assert ask(f"{address}/healthz") == 200
            worker.status.beat -= 10_000
            server.faults.clear()
        assert ask(f"{address}/healthz") == 503
        port = int(address.rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"listen on 127.0.0.1:{port}"):
            serve_metrics(worker, "127.0.0.1", port).__enter__()
