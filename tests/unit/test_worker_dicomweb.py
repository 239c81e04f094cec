"""What the worker makes of the searches of a DICOMweb server, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from renalseg.errors import RetryableError
from renalseg.worker.dicomweb.feed import Feed
from renalseg.worker.http import AnswerError, UnreachableError
from renalseg.worker.jobs import Jobs
from renalseg.worker.rules import Rule
from renalseg.worker.server import Instance

TODAY = date(2026, 3, 1)
SETTLE = 60.0


class Archive:
    """Studies with their days and series, and the answers to the searches of the feed."""

    def __init__(self) -> None:
        self.days: dict[str, str] = {}
        self.files: dict[str, list[str]] = {}
        self.tags = {"Modality": "CT"}
        self.counts = True
        self.away = False
        self.broken: set[str] = set()
        self.searched: list[str] = []
        self.looked_at: list[str] = []

    def receive(self, study: str, series: str, files: int, day: str = "20260301") -> None:
        self.days[study] = day
        names = self.files.setdefault(f"{study}/{series}", [])
        names.extend(f"{series}.{number}" for number in range(len(names), len(names) + files))

    def studies(self, since: str) -> Iterator[dict[str, str]]:
        if self.away:
            raise UnreachableError("away")
        self.searched.append(since)
        for study, day in self.days.items():
            if day >= since:
                files = sum(len(v) for k, v in self.files.items() if k.startswith(f"{study}/"))
                counts = {"NumberOfStudyRelatedInstances": str(files)} if self.counts else {}
                yield {"StudyInstanceUID": study, **counts}

    def series(self, study: str) -> Iterator[dict[str, str]]:
        self.looked_at.append(study)
        for name, files in self.files.items():
            if name.startswith(f"{study}/"):
                counts = {"NumberOfSeriesRelatedInstances": str(len(files))} if self.counts else {}
                yield {"SeriesInstanceUID": name.partition("/")[2], **counts}

    def instances(self, series: str) -> list[Instance]:
        if series in self.broken:
            raise AnswerError("broken")
        return [Instance(f"{series}/{uid}", uid, 0, "") for uid in self.files[series]]

    def sample(self, instance: Instance) -> tuple[dict[str, str], int]:
        return self.tags, 1000


class Bench:
    """A feed with a clock of its own."""

    def __init__(self, path: Path, archive: Archive, **options: object) -> None:
        self.now = 1000.0
        self.archive = archive
        self.jobs = Jobs(path, clock=lambda: self.now)
        self.day = TODAY
        self.feed = Feed(
            archive,  # type: ignore[arg-type]
            self.jobs,
            Rule(),
            settle=SETTLE,
            today=lambda: self.day,
            **options,  # type: ignore[arg-type]
        )

    def poll(self, seconds: float = 0) -> int:
        """Number of new jobs after a while."""
        self.now += seconds
        return len(self.feed.poll())


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def bench(tmp_path: Path, archive: Archive) -> Bench:
    bench = Bench(tmp_path / "jobs.db", archive)
    bench.poll()
    return bench


@pytest.mark.parametrize("counts", [True, False])
def test_a_series_that_has_stopped_growing_becomes_one_job(bench: Bench, counts: bool) -> None:
    bench.archive.counts = counts
    bench.archive.receive("1", "2", 15)
    assert bench.poll() == 0
    bench.archive.receive("1", "2", 10)
    assert bench.poll(SETTLE + 1) == 0  # it has grown since
    assert bench.poll(SETTLE - 1) == 0
    assert bench.poll(2) == 1
    assert bench.poll(SETTLE + 1) == 0
    (job,) = bench.jobs.newest()
    assert (job.series, job.study_uid, job.series_uid) == ("1/2", "1", "2")
    assert (job.slices, job.bytes) == (25, 25000)


def test_late_slices_make_a_newer_job(bench: Bench) -> None:
    bench.archive.receive("1", "2", 20)
    bench.poll()
    bench.poll(SETTLE + 1)
    bench.archive.receive("1", "2", 4)
    bench.poll()
    assert bench.poll(SETTLE + 1) == 1
    assert [(job.slices, job.state) for job in bench.jobs.newest()] == [
        (24, "queued"),
        (20, "superseded"),
    ]


def test_what_was_there_before_the_worker_makes_no_job_until_it_grows(
    tmp_path: Path, archive: Archive
) -> None:
    archive.receive("1", "2", 20)
    bench = Bench(tmp_path / "jobs.db", archive)
    bench.poll()
    assert bench.poll(SETTLE + 1) == 0
    archive.receive("1", "2", 1)
    bench.poll()
    assert bench.poll(SETTLE + 1) == 1


def test_a_backlog_is_what_was_there_in_the_days_before(tmp_path: Path, archive: Archive) -> None:
    archive.receive("1", "2", 20, day="20260228")
    archive.receive("3", "4", 20, day="20260101")
    bench = Bench(tmp_path / "jobs.db", archive, backlog=True, days=3)
    bench.poll()
    assert bench.poll(SETTLE + 1) == 1
    assert bench.jobs.newest()[0].series == "1/2"


def test_after_an_outage_the_search_begins_before_the_last_complete_one(
    tmp_path: Path, bench: Bench
) -> None:
    bench.archive.away = True
    bench.day = date(2026, 3, 20)
    with pytest.raises(RetryableError):
        bench.poll()
    again = Bench(tmp_path / "jobs.db", bench.archive)  # the worker was restarted meanwhile
    again.day = bench.day
    bench.archive.away = False
    bench.archive.receive("1", "2", 20, day="20260228")
    again.poll()
    assert again.poll(SETTLE + 1) == 1
    assert bench.archive.searched == ["20260227", "20260227", "20260318"]


def test_a_search_that_was_interrupted_moves_no_mark(bench: Bench) -> None:
    bench.archive.receive("1", "2", 20)
    bench.day = date(2026, 3, 9)
    bench.feed.go_on = lambda: False
    bench.poll()
    assert bench.jobs.cursor() == 20260301


def test_a_study_without_news_is_not_looked_at_again(bench: Bench) -> None:
    bench.archive.receive("1", "2", 20)
    bench.poll()
    bench.poll(SETTLE + 1)
    bench.archive.looked_at.clear()
    bench.poll(SETTLE + 1)
    assert bench.archive.looked_at == []
    bench.archive.receive("1", "9", 20)
    bench.poll()
    assert bench.archive.looked_at == ["1"]


def test_a_series_that_fails_holds_up_no_other(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.archive.receive("1", "2", 20)
    bench.archive.receive("3", "4", 20)
    bench.archive.broken = {"1/2"}
    bench.poll()
    assert bench.poll(SETTLE + 1) == 1
    assert "1/2 is set aside for now" in caplog.text
    bench.archive.broken = set()
    assert bench.poll(SETTLE + 1) == 1


def test_a_job_whose_series_has_changed_asks_for_another_look(bench: Bench) -> None:
    bench.archive.receive("1", "2", 20)
    bench.poll()
    bench.poll(SETTLE + 1)
    bench.archive.files["1/2"][0] = "corrected"  # the number of files stays
    bench.jobs.ask_for("1/2", [])
    assert bench.poll(SETTLE + 1) == 1


def test_rules_hold(bench: Bench) -> None:
    bench.archive.tags = {"Modality": "CT", "Manufacturer": "RenalSeg", "SeriesNumber": "900"}
    bench.archive.receive("1", "2", 20)
    bench.poll()
    assert bench.poll(SETTLE + 1) == 0


def test_a_series_that_is_deleted_while_it_grows_is_forgotten(bench: Bench) -> None:
    bench.archive.receive("1", "2", 20)
    bench.poll()
    del bench.archive.files["1/2"], bench.archive.days["1"]
    assert bench.poll(SETTLE + 1) == 0
    assert bench.jobs.growing() == []
    bench.archive.receive("1", "2", 20)
    bench.poll()
    assert bench.poll(SETTLE + 1) == 1
