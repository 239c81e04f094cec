"""The worker with a real Orthanc: what arrives by C-STORE comes back as results, once."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from renalseg.worker.job import Job
from renalseg.worker.jobs import Jobs
from renalseg.worker.rules import OWN_MANUFACTURER, OWN_SERIES_NUMBER
from tests.factories.orthanc import (
    AET,
    DICOMWEB,
    MISSING,
    PASSWORD,
    SENDER,
    USER,
    RealOrthanc,
    running,
    wait_for,
)
from tests.factories.series import write_case

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

ROOT = Path(__file__).parents[2]


class Worker:
    """`renalseg worker` as a process of its own, with its jobs in a folder that outlives it."""

    def __init__(
        self, folder: Path, orthanc: RealOrthanc, seconds: float = 0, command: str = ""
    ) -> None:
        self.folder = folder
        self.orthanc = orthanc
        self.log = folder / "application.log"
        standin = [sys.executable, "-m", "tests.factories.standin"]
        arguments = ["{input}", "{output}", seconds, self.log]
        self.command = command or shlex.join(map(str, [*standin, *arguments]))
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    def start(self, *options: str) -> None:
        arguments = [
            *("--orthanc", self.orthanc.url, "--folder", self.folder, "--command", self.command),
            *("--device", "cpu", "--interval", "0.3", "--settle", "3", "--retry-after", "0.5"),
            *("--listen", "127.0.0.1:0", "--grace", "1", *options),
        ]
        with (self.folder / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "renalseg.commands.main", "worker", *map(str, arguments)],
                env={**os.environ, **self.orthanc.environment, "PYTHONPATH": str(ROOT)},
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def jobs(self) -> list[Job]:
        """Newest first."""
        jobs = Jobs(self.folder / "jobs.db")
        try:
            return jobs.newest()
        finally:
            jobs.database.close()

    def states(self) -> Counter[str]:
        return Counter(str(job.state) for job in self.jobs())

    def runs(self, what: str) -> list[str]:
        """The series of which the application noted its start or end, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split()[1] for line in lines if line.startswith(what)]

    def text(self) -> str:
        return (self.folder / "worker.log").read_text()


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[RealOrthanc]:
    with running(tmp_path / "orthanc") as server:
        yield server


@pytest.fixture
def worker(tmp_path: Path, orthanc: RealOrthanc) -> Iterator[Worker]:
    worker = Worker(tmp_path / "worker", orthanc)
    yield worker
    if worker.process is not None and worker.process.poll() is None:
        worker.end(signal.SIGKILL)


def ready(worker: Worker) -> bool:
    return "Orthanc answers" in worker.text()


def test_what_arrives_comes_back_as_a_result(
    orthanc: RealOrthanc, worker: Worker, tmp_path: Path
) -> None:
    written = write_case(tmp_path / "ct")
    worker.start()
    wait_for(lambda: ready(worker), "the worker")
    orthanc.send(written.folder)
    wait_for(lambda: worker.states()["done"] == 1, "the job")

    check_results(orthanc, {"SEG"})
    (seg,) = orthanc.datasets("SEG")
    source, *_ = slices = orthanc.datasets("CT")
    assert references(seg) == {item.SOPInstanceUID for item in slices}
    # The result became stable too, and made no job.
    wait_for(lambda: "modality SEG" in worker.text(), "the result to be seen")
    assert worker.end() == 0
    assert worker.runs("start") == [source.SeriesInstanceUID]
    assert list((worker.folder / "scratch").iterdir()) == []
    for secret in ("Synthetic^Subject", "SYNTHETIC", *orthanc.environment.values()):
        assert secret not in worker.text()
        assert secret.encode() not in (worker.folder / "jobs.db").read_bytes()


def test_the_real_application(orthanc: RealOrthanc, small_sample: Path, tmp_path: Path) -> None:
    command = shlex.join(
        [sys.executable, "-P", str(ROOT / "app"), "-i", "{input}", "-o", "{output}"]
    )
    worker = Worker(tmp_path / "worker", orthanc, command=command)
    worker.start()
    try:
        wait_for(lambda: ready(worker), "the worker")
        orthanc.send(small_sample / "dicom")
        unfinished = Counter(("queued", "running", "storing", "forwarding"))
        wait_for(lambda: worker.states() - unfinished, "the job", seconds=600)
    finally:
        worker.end(signal.SIGKILL)
    (job,) = worker.jobs()
    assert job.state == "done", job.message
    assert job.finding in ("tumor found", "no tumor found")
    check_results(orthanc, {"SEG"})


def test_what_came_while_the_worker_was_off_is_done(
    orthanc: RealOrthanc, worker: Worker, tmp_path: Path
) -> None:
    worker.start()
    wait_for(lambda: ready(worker), "the worker")
    worker.end()
    orthanc.send(write_case(tmp_path / "ct").folder)
    wait_for(lambda: is_stable(orthanc), "the series to be stable")
    worker.start()
    wait_for(lambda: worker.states()["done"] == 1, "the job")
    assert len(orthanc.series("SEG")) == 1


def test_a_series_that_orthanc_forgot_to_call_stable_is_done(tmp_path: Path) -> None:
    with running(tmp_path / "orthanc", stable_age=4) as orthanc:
        worker = Worker(tmp_path / "worker", orthanc)
        worker.start("--settle", "5")
        try:
            wait_for(lambda: ready(worker), "the worker")
            orthanc.send(write_case(tmp_path / "ct").folder)
            orthanc.kill()
            orthanc.start()
            wait_for(lambda: worker.states()["done"] == 1, "the job")
            wait_for(lambda: len(orthanc.series("SEG")) == 1, "the result")
        finally:
            worker.end(signal.SIGKILL)
        of_source = {"ChangeType": "StableSeries", "ID": orthanc.series("CT")[0]}
        changes = orthanc.get("/changes?since=0&limit=1000")["Changes"]
        assert not [change for change in changes if of_source.items() <= change.items()]


def start_job(worker: Worker, orthanc: RealOrthanc, folder: Path) -> None:
    """Starts a worker, sends a series, and waits until the application runs on it."""
    worker.start()
    wait_for(lambda: ready(worker), "the worker")
    orthanc.send(write_case(folder).folder)
    wait_for(lambda: worker.runs("start"), "the application")


def test_orthanc_killed_during_a_job_gets_what_was_computed(
    orthanc: RealOrthanc, tmp_path: Path
) -> None:
    worker = Worker(tmp_path / "worker", orthanc, seconds=2)
    try:
        start_job(worker, orthanc, tmp_path / "ct")
        orthanc.kill()
        wait_for(lambda: worker.states()["storing"] == 1, "the job to be computed")
        worker.end(signal.SIGKILL)
        worker.start()
        orthanc.start()
        wait_for(lambda: worker.states()["done"] == 1, "the job")
    finally:
        worker.end(signal.SIGKILL)
    assert len(orthanc.datasets("SEG")) == 1
    assert (len(worker.runs("start")), worker.jobs()[0].tries) == (1, 1)


def test_an_orthanc_that_takes_the_place_of_another_is_read_from_its_beginning(
    tmp_path: Path,
) -> None:
    """Its log is longer than the first one's was, and its first series came meanwhile."""
    with running(tmp_path / "orthanc") as first:
        worker = Worker(tmp_path / "worker", first)
        worker.start()
        wait_for(lambda: ready(worker), "the worker")
        first.send(write_case(tmp_path / "ct").folder)
        wait_for(lambda: worker.states()["done"] == 1, "the job")
        wait_for(lambda: "modality SEG" in worker.text(), "the result to be seen")
        worker.end()
    with running(tmp_path / "other") as second:
        for number in range(2):
            second.send(
                write_case(tmp_path / f"new{number}", slices=30, seed=f"new{number}").folder
            )
        wait_for(lambda: is_stable(second), "the series to be stable")
        worker.orthanc = second
        worker.start()
        try:
            wait_for(lambda: worker.states()["done"] == 3, "the new jobs")
        finally:
            worker.end(signal.SIGKILL)
        assert len(second.series("SEG")) == 2
    assert "reading it from its beginning" in worker.text()


def test_deleting_a_series_in_orthanc_makes_no_job_of_older_ones(
    orthanc: RealOrthanc, worker: Worker, tmp_path: Path
) -> None:
    orthanc.send(write_case(tmp_path / "old", seed="old").folder)
    wait_for(lambda: is_stable(orthanc), "the series to be stable")
    worker.start()
    wait_for(lambda: ready(worker), "the worker")
    (old,) = orthanc.series("CT")
    orthanc.send(write_case(tmp_path / "new", slices=30, seed="new").folder)
    wait_for(lambda: worker.states()["done"] == 1, "the job")
    wait_for(lambda: "modality SEG" in worker.text(), "the result to be seen")
    (new,) = set(orthanc.series("CT")) - {old}
    orthanc.delete(f"/series/{new}")
    orthanc.delete(f"/series/{orthanc.series('SEG')[0]}")
    orthanc.send(write_case(tmp_path / "next", slices=32, seed="next").folder)
    wait_for(lambda: worker.states()["done"] == 2, "the next job")
    assert old not in [job.series for job in worker.jobs()]
    assert worker.end() == 0


def test_worker_killed_during_a_job_gives_exactly_one_result(
    orthanc: RealOrthanc, tmp_path: Path
) -> None:
    worker = Worker(tmp_path / "worker", orthanc, seconds=6)
    start_job(worker, orthanc, tmp_path / "ct")
    worker.end(signal.SIGKILL)
    assert worker.states() == {"running": 1}
    worker.start()
    try:
        wait_for(lambda: worker.states()["done"] == 1, "the job")
        assert worker.end() == 0
    finally:
        worker.end(signal.SIGKILL)
    # The first application was ended, not left to write beside the second.
    assert (len(worker.runs("start")), len(worker.runs("end"))) == (2, 1)
    assert "its process was still running" in worker.text()
    assert len(orthanc.datasets("SEG")) == 1
    (job,) = worker.jobs()
    assert job.tries == 2


def test_a_worker_that_is_told_to_stop_hands_its_job_back(
    orthanc: RealOrthanc, tmp_path: Path
) -> None:
    worker = Worker(tmp_path / "worker", orthanc, seconds=6)
    start_job(worker, orthanc, tmp_path / "ct")
    assert worker.end() == 0
    (job,) = worker.jobs()
    assert (job.state, job.tries) == ("queued", 0)
    assert worker.runs("end") == []
    assert list((worker.folder / "scratch").iterdir()) == []


def test_late_slices_supersede(orthanc: RealOrthanc, worker: Worker, tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct", slices=26)
    late = tmp_path / "late"
    late.mkdir()
    for path in written.paths[-4:]:
        path.rename(late / path.name)
    worker.start("--delete-superseded")
    wait_for(lambda: ready(worker), "the worker")
    orthanc.send(written.folder)
    wait_for(lambda: worker.states()["done"] == 1, "the first job")
    orthanc.send(late)
    wait_for(lambda: worker.states() == {"done": 1, "superseded": 1}, "the second job")

    (seg,) = orthanc.datasets("SEG")
    (group,) = seg.ReferencedSeriesSequence
    assert len(group.ReferencedInstanceSequence) == 26
    newer, older = worker.jobs()
    assert (older.slices, newer.slices) == (22, 26)
    assert older.superseded_by == newer.id
    assert len(orthanc.get(f"/series/{orthanc.series('CT')[0]}")["Instances"]) == 26


def test_fifty_series_are_done_once_each(
    orthanc: RealOrthanc, worker: Worker, tmp_path: Path
) -> None:
    for number in range(50):
        write_case(tmp_path / "ct" / str(number), slices=20, seed=number)
    worker.start("--jobs", "2")
    wait_for(lambda: ready(worker), "the worker")
    orthanc.send(tmp_path / "ct")
    orthanc.send(tmp_path / "ct" / "7")  # again, as scanners do
    wait_for(lambda: worker.states()["done"] == 50, "all jobs", seconds=900)
    orthanc.send(tmp_path / "ct" / "8")
    assert worker.end() == 0
    assert worker.states() == {"done": 50}
    starts = Counter(worker.runs("start"))
    assert len(starts) == 50
    assert set(starts.values()) == {1}
    sources = {
        item.ReferencedSeriesSequence[0].SeriesInstanceUID for item in orthanc.datasets("SEG")
    }
    assert sources == set(starts)
    assert len(orthanc.series("SEG")) == 50


def test_orthanc_sends_results_on(tmp_path: Path) -> None:
    """By C-STORE to a modality and by STOW-RS to a server, each with what Orthanc knows of it."""
    if not DICOMWEB.exists():
        pytest.skip("not installed: orthanc-dicomweb")
    known = {"orthanc": [AET, "127.0.0.1", 104]}
    with (
        running(tmp_path / "pacs", DicomAet="PACS", DicomModalities=known) as pacs,
        running(tmp_path / "archive") as archive,
        running(
            tmp_path / "orthanc",
            DicomModalities={
                "scanner": [SENDER, "127.0.0.1", 104],
                "pacs": ["PACS", "127.0.0.1", pacs.dicom_port],
            },
            DicomWeb={"Servers": {"archive": [f"{archive.url}/dicom-web/", USER, PASSWORD]}},
        ) as orthanc,
    ):
        worker = Worker(tmp_path / "worker", orthanc)
        worker.start("--forward", "pacs", "--forward", "dicomweb:archive")
        try:
            wait_for(lambda: ready(worker), "the worker")
            orthanc.send(write_case(tmp_path / "ct").folder)
            wait_for(lambda: worker.states()["done"] == 1, "the job")
        finally:
            worker.end(signal.SIGKILL)
        (here,), (there,), (elsewhere,) = (
            server.datasets("SEG") for server in (orthanc, pacs, archive)
        )
        assert here.SOPInstanceUID == there.SOPInstanceUID == elsewhere.SOPInstanceUID


def check_results(orthanc: RealOrthanc, least: set[str]) -> None:
    """Check that every result belongs to the study, and refers to nothing that is not there."""
    slices = orthanc.datasets("CT")
    results = {
        modality: orthanc.datasets(modality)
        for modality in {orthanc.get(f"/series/{name}")["MainDicomTags"]["Modality"]
                         for name in orthanc.get("/series")} - {"CT"}
    }  # fmt: skip
    assert set(results) >= least
    there = {item.SOPInstanceUID for item in (*slices, *chain(*results.values()))}
    for result in chain(*results.values()):
        assert result.StudyInstanceUID == slices[0].StudyInstanceUID
        assert result.PatientID == slices[0].PatientID
        assert references(result) <= there
        # What the worker knows its own results by.
        assert result.Manufacturer == OWN_MANUFACTURER
        assert result.SeriesNumber >= OWN_SERIES_NUMBER
    for seg in results.get("SEG", []):
        assert seg.FrameOfReferenceUID == slices[0].FrameOfReferenceUID
        assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == slices[0].SeriesInstanceUID


def references(dataset: Dataset) -> set[str]:
    """SOP instance UIDs of all objects that one refers to, at any depth."""
    elements = dataset.iterall()
    return {item.value for item in elements if item.keyword == "ReferencedSOPInstanceUID"}


def is_stable(orthanc: RealOrthanc) -> bool:
    return all(orthanc.get(f"/series/{name}")["IsStable"] for name in orthanc.series("CT"))
