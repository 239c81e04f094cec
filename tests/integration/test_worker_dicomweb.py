"""The worker with archives that speak DICOMweb: what arrives comes back as results, once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread

from renalseg.errors import ConfigError, RetryableError
from renalseg.worker.http import DICOMWEB, Access, GoneError
from renalseg.worker.job import State
from renalseg.worker.jobs import Jobs
from renalseg.worker.rules import Rule
from renalseg.worker.scratch import Scratch
from renalseg.worker.server import Instance
from renalseg.worker.work import Task, Work
from tests.factories.dicomweb import ABSENT, Archive, archive
from tests.factories.series import write_case

pytest.importorskip("dicomweb_client", reason="the extra dicomweb")
from renalseg.worker.dicomweb.client import DicomWeb
from renalseg.worker.dicomweb.feed import Feed

STANDIN = (sys.executable, "-m", "tests.factories.standin", "{input}", "{output}")
ROOT = Path(__file__).parents[2]


@pytest.fixture(
    params=[
        pytest.param(kind, marks=pytest.mark.skipif(absent, reason=f"not installed: {kind}"))
        for kind, absent in ABSENT.items()
    ]
)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    with archive(request.param, tmp_path / "archive") as found:
        yield found


@dataclass
class Bench:
    """A worker's parts; a series is complete as soon as a second search finds it unchanged."""

    server: DicomWeb
    feed: Feed
    work: Work
    jobs: Jobs


@pytest.fixture
def bench(running: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    server = DicomWeb(Access.of(running.url, running.environment, DICOMWEB))
    jobs = Jobs(tmp_path / "jobs.db")
    feed = Feed(server, jobs, Rule(), settle=0, days=100_000)
    scratch = Scratch(tmp_path, 1 << 30, 1)
    work = Work(server, jobs, scratch, Task(STANDIN))
    feed.poll()
    return Bench(server, feed, work, jobs)


def test_what_arrives_comes_back_as_a_result_once(bench: Bench, tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct")
    for path in written.paths:
        bench.server.store(path)
    bench.server.store(written.paths[0])  # again, which no server minds or counts
    bench.feed.poll()
    assert len(bench.feed.poll()) == 1
    job = bench.jobs.claim("cpu")
    assert job is not None
    assert job.slices == len(written.paths)
    assert abs(job.bytes - sum(path.stat().st_size for path in written.paths)) < 100 * job.slices

    assert bench.work.do(job) == State.STORING, bench.jobs.get(job.id).message
    bench.work.store()
    done = bench.jobs.get(job.id)
    assert done.state == State.DONE, done.message
    (result,) = done.results
    bench.server.fetch(Instance(result, result.split("/")[-1], 0, ""), tmp_path / "seg.dcm")
    seg = dcmread(tmp_path / "seg.dcm")
    assert (seg.Modality, seg.StudyInstanceUID) == ("SEG", job.study_uid)

    bench.jobs.retry(job.id)  # stores the same object a second time
    again = bench.jobs.claim("cpu")
    assert again is not None
    bench.work.do(again)
    bench.work.store()
    assert bench.jobs.get(job.id).results == (result,)
    assert len(bench.server.instances(result.rpartition("/")[0])) == 1
    assert bench.feed.poll() == []  # the result is no CT
    assert "Synthetic" in bench.server.patient(job.series)[0]


def test_files_arrive_as_they_were_stored(bench: Bench, tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct")
    sent = {dcmread(path).SOPInstanceUID: path.read_bytes() for path in written.paths}
    for path in written.paths:
        bench.server.store(path)
    bench.feed.poll()
    bench.feed.poll()
    (job,) = bench.jobs.newest()
    for number, instance in enumerate(bench.server.instances(job.series)):
        path = tmp_path / f"{number}.dcm"
        bench.server.fetch(instance, path)
        before, after = tmp_path / "before.dcm", dcmread(path)
        before.write_bytes(sent[instance.uid])
        assert after == dcmread(before)
        assert after.file_meta.TransferSyntaxUID == dcmread(before).file_meta.TransferSyntaxUID


def test_what_is_not_there(bench: Bench, tmp_path: Path) -> None:
    assert bench.server.instances("1.2.3/4.5.6") == []
    with pytest.raises(GoneError):
        bench.server.fetch(Instance("1.2.3/4.5.6/7.8.9", "7.8.9", 0, ""), tmp_path / "a.dcm")


def test_credentials_are_wanted(running: Archive) -> None:
    server = DicomWeb(Access.of(running.url, {}, DICOMWEB))
    with pytest.raises(ConfigError, match="check RENALSEG_DICOMWEB_USER"):
        server.check()
    known = DicomWeb(Access.of(running.url, running.environment, DICOMWEB))
    assert known.check() == running.url


def test_no_answer_may_be_tried_again() -> None:
    with pytest.raises(RetryableError, match="does not answer"):
        DicomWeb(Access.of("http://127.0.0.1:1/dicom-web", {}, DICOMWEB)).check()
