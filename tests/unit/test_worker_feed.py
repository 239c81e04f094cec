from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from renalseg.errors import ConfigError, RetryableError
from renalseg.worker.client import Instance, Orthanc, Series
from renalseg.worker.feed import Feed
from renalseg.worker.http import Connection
from renalseg.worker.jobs import Jobs
from renalseg.worker.rules import Rule, content_hash
from tests.factories.fake_orthanc import FakeOrthanc, serve


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[FakeOrthanc]:
    with serve(FakeOrthanc()) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def feed(server: FakeOrthanc, tmp_path: Path, clock: Clock) -> Feed:
    feed = Feed(
        Orthanc(Connection(server.url)), Jobs(tmp_path / "jobs.db", clock=clock), Rule(), settle=60
    )
    feed.poll()
    return feed


def taken(feed: Feed) -> list[tuple[str, int]]:
    """Series and slices of all jobs, oldest first."""
    return [(job.series, job.slices) for job in reversed(feed.jobs.newest())]


def test_a_stable_series_becomes_a_job(feed: Feed, server: FakeOrthanc) -> None:
    server.add("a", 20)
    assert len(feed.poll()) == 1
    (job,) = feed.jobs.newest()
    assert (job.series, job.series_uid, job.study_uid) == ("a", "1.2.a", "1.1")
    assert job.bytes == sum(map(len, server.files["a"].values()))


def test_nothing_is_read_twice(feed: Feed, server: FakeOrthanc) -> None:
    server.add("a")
    feed.poll()
    server.requests.clear()
    assert feed.poll() == []
    assert [path.partition("&")[0] for _, path, _ in server.requests] == [
        "/changes?last",
        f"/changes?since={len(server.changes)}",
    ]


def test_what_was_there_before_the_first_start_is_left_alone(
    server: FakeOrthanc, tmp_path: Path
) -> None:
    server.add("a")
    feed = Feed(Orthanc(Connection(server.url)), Jobs(tmp_path / "jobs.db"), Rule())
    feed.poll()
    server.add("b")
    feed.poll()
    assert taken(feed) == [("b", 20)]


def test_the_backlog_is_taken_where_it_is_asked_for(server: FakeOrthanc, tmp_path: Path) -> None:
    server.add("a")
    feed = Feed(Orthanc(Connection(server.url)), Jobs(tmp_path / "jobs.db"), Rule(), backlog=True)
    feed.poll()
    assert taken(feed) == [("a", 20)]


def test_a_long_log_is_read_to_its_end(feed: Feed, server: FakeOrthanc) -> None:
    server.receive("a", 450)
    server.add("b", 20)
    feed.poll()
    assert taken(feed) == [("b", 20)]
    assert feed.jobs.cursor() == len(server.changes) == 471


def test_a_series_that_still_grows_waits(feed: Feed, server: FakeOrthanc) -> None:
    server.add("a", 20)
    server.receive("a", 5, first=20)
    assert feed.poll() == []
    server.settle("a")
    feed.poll()
    assert taken(feed) == [("a", 25)]


def test_the_same_slices_again_are_no_news(feed: Feed, server: FakeOrthanc) -> None:
    server.add("a", 20)
    feed.poll()
    server.add("a", 20)
    assert feed.poll() == []


def test_a_slice_with_other_content_is_news(feed: Feed, server: FakeOrthanc) -> None:
    server.add("a", 20)
    feed.poll()
    server.files["a"]["a-3"] = b"corrected"
    server.settle("a")
    assert len(feed.poll()) == 1


def test_a_series_that_orthanc_forgot_is_asked_for(
    feed: Feed, server: FakeOrthanc, clock: Clock
) -> None:
    server.receive("a", 20)
    server.settle("a", silently=True)
    assert feed.poll() == []
    clock.now += 61
    assert len(feed.poll()) == 1
    assert feed.jobs.unsettled(0) == []


def test_late_slices_that_orthanc_forgot_are_asked_for(
    feed: Feed, server: FakeOrthanc, clock: Clock
) -> None:
    server.add("a", 20)
    feed.poll()
    server.receive("a", 5, first=20)
    server.settle("a", silently=True)
    feed.poll()
    clock.now += 61
    feed.poll()
    assert taken(feed) == [("a", 20), ("a", 25)]


def test_a_series_that_grows_for_long_is_asked_for_now_and_then(
    feed: Feed, server: FakeOrthanc, clock: Clock
) -> None:
    server.receive("a", 20)
    feed.poll()
    clock.now += 61
    feed.poll()
    server.requests.clear()
    feed.poll()
    assert not [path for _, path, _ in server.requests if path.startswith(("/series", "/inst"))]
    server.settle("a", silently=True)
    clock.now += 61
    assert len(feed.poll()) == 1


def test_what_was_deleted_is_forgotten(feed: Feed, server: FakeOrthanc, clock: Clock) -> None:
    server.add("a")
    server.receive("b", 20)
    del server.tags["a"], server.files["a"], server.tags["b"], server.files["b"]
    feed.poll()
    clock.now += 61
    assert feed.poll() == []
    assert feed.jobs.unsettled(0) == []


def test_an_outage_loses_nothing(feed: Feed, server: FakeOrthanc) -> None:
    server.add("a")
    server.faults["/series/a/instances"] = [500]
    before = feed.jobs.cursor()
    with pytest.raises(RetryableError, match="500"):
        feed.poll()
    assert feed.jobs.cursor() == before
    assert len(feed.poll()) == 1


def test_a_new_orthanc_is_read_from_its_beginning(feed: Feed, server: FakeOrthanc) -> None:
    server.add("a", 60)
    feed.poll()
    server.changes.clear()
    server.add("b")
    feed.poll()
    assert taken(feed) == [("a", 60), ("b", 20)]


def test_stopping_ends_between_parts_of_the_log(server: FakeOrthanc, tmp_path: Path) -> None:
    server.receive("a", 300)
    answers = iter([True, False])
    jobs = Jobs(tmp_path / "jobs.db")
    feed = Feed(Orthanc(Connection(server.url)), jobs, Rule(), backlog=True)
    feed.go_on = lambda: next(answers, False)
    feed.poll()
    assert jobs.cursor() == 200


def series(count: int = 20, **tags: str) -> Series:
    return Series("s", True, {"Modality": "CT", **tags}, tuple(map(str, range(count))), "study")


@pytest.mark.parametrize(
    ("found", "rule", "objection"),
    [
        (series(), Rule(), None),
        (series(19), Rule(), "19 slices, fewer than 20"),
        (series(3), Rule(min_slices=3), None),
        (series(Modality="SEG"), Rule(), "modality SEG"),
        (series(Modality="SR"), Rule(), "modality SR"),
        (series(Modality="DOC"), Rule(), "modality DOC"),
        (series(Modality=""), Rule(), "modality unknown"),
        (series(Manufacturer="RenalSeg", SeriesNumber="901"), Rule(), "a result of RenalSeg"),
        (series(Manufacturer="RenalSeg", SeriesNumber="1"), Rule(), None),
        (series(Manufacturer="Maker", SeriesNumber="901"), Rule(), None),
        (series(SeriesDescription="Abd ART 1.0"), Rule(description="art|ven"), None),
        (
            series(SeriesDescription="Lung"),
            Rule(description="art|ven"),
            "series description does not match",
        ),
        (series(), Rule(body_part="ABD"), "body part does not match"),
        (series(BodyPartExamined="ABDOMEN"), Rule(body_part="ABD"), None),
        (series(), Rule(sender="^CT"), "sender does not match"),
    ],
)
def test_rule(found: Series, rule: Rule, objection: str | None) -> None:
    assert rule.objection(found) == objection


def test_rule_for_the_sender(feed: Feed, server: FakeOrthanc) -> None:
    feed.rule = Rule(sender="^scanner$")
    server.add("a")
    assert len(feed.poll()) == 1


def test_a_broken_pattern_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"regular expression, got '\('"):
        Rule(description="(")


def test_the_hash_is_of_the_content_not_of_its_order() -> None:
    one, two = Instance("a", "1.1", 5, "m1"), Instance("b", "1.2", 5, "m2")
    assert content_hash([one, two]) == content_hash([two, one])
    assert content_hash([one]) != content_hash([one, two])
    assert content_hash([one]) != content_hash([Instance("a", "1.1", 5, "m2")])
