from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from renalseg.errors import ConfigError, RetryableError
from renalseg.worker.http import Connection
from renalseg.worker.jobs import Jobs
from renalseg.worker.orthanc.client import Orthanc, Series
from renalseg.worker.orthanc.feed import Feed
from renalseg.worker.rules import Rule, content_hash
from renalseg.worker.server import Instance
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
        f"/changes?since={len(server.changes) - 1}",
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
    for _ in range(2):  # one answer that there is nothing is not believed
        assert feed.jobs.unsettled(0)
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
    server.replace_database()
    server.add("b")
    feed.poll()
    assert taken(feed) == [("a", 60), ("b", 20)]


def test_an_orthanc_that_was_replaced_while_the_worker_was_off(
    feed: Feed, server: FakeOrthanc, tmp_path: Path
) -> None:
    server.add("a", 29)
    feed.poll()
    assert feed.jobs.cursor() == 30
    feed.jobs.database.close()
    server.replace_database()
    server.add("b", 20)
    server.add("c", 65)
    assert len(server.changes) == 87
    again = Feed(Orthanc(Connection(server.url)), Jobs(tmp_path / "jobs.db"), Rule())
    again.poll()
    assert taken(again) == [("a", 29), ("b", 20), ("c", 65)]
    assert again.jobs.cursor() == 87
    server.requests.clear()
    assert again.poll() == []
    assert len(server.requests) == 2


def test_an_older_copy_of_the_database_is_read_from_where_it_differs(
    feed: Feed, server: FakeOrthanc
) -> None:
    server.add("a")
    feed.poll()
    kept = list(server.changes)
    server.add("b")
    feed.poll()
    server.changes[:] = kept
    del server.tags["b"], server.files["b"]
    server.add("c", 30)
    server.requests.clear()
    feed.poll()
    assert taken(feed) == [("a", 20), ("b", 20), ("c", 30)]
    assert not [path for _, path, _ in server.requests if path == "/series/a"]


def test_deleting_what_was_read_last_brings_no_backlog(server: FakeOrthanc, tmp_path: Path) -> None:
    server.add("old")
    feed = Feed(Orthanc(Connection(server.url)), Jobs(tmp_path / "jobs.db"), Rule())
    feed.poll()
    for name in ("a", "b"):
        server.add(name)
        feed.poll()
    for name in ("b", "a"):
        server.delete(name)
        feed.poll()
    server.add("c")
    feed.poll()
    assert taken(feed) == [("a", 20), ("b", 20), ("c", 20)]


def test_deleting_all_that_was_read_brings_no_backlog(server: FakeOrthanc, tmp_path: Path) -> None:
    for name in ("older", "old"):
        server.add(name)
    feed = Feed(Orthanc(Connection(server.url)), Jobs(tmp_path / "jobs.db"), Rule())
    feed.poll()
    server.add("a")
    feed.poll()
    for name in ("old", "a"):
        server.delete(name)
    feed.poll()
    server.requests.clear()
    feed.poll()
    assert len(server.requests) == 2
    server.add("c")
    feed.poll()
    assert taken(feed) == [("a", 20), ("c", 20)]


def test_an_orthanc_that_was_emptied_goes_on(feed: Feed, server: FakeOrthanc) -> None:
    server.add("a")
    feed.poll()
    server.delete("a")
    assert feed.poll() == []
    server.add("b")
    feed.poll()
    assert taken(feed) == [("a", 20), ("b", 20)]


def test_a_database_of_an_older_worker_goes_on_where_it_was(
    feed: Feed, server: FakeOrthanc
) -> None:
    server.add("a")
    feed.poll()
    server.add("b")
    feed.jobs.database.change("DELETE FROM point")
    feed.poll()
    assert taken(feed) == [("a", 20), ("b", 20)]
    assert feed.jobs.points()


ANYTHING = [[], {}, 7, "text", [7], {"Changes": 7}, {"Changes": [{}]}, True, [[]]]


@pytest.mark.parametrize("shape", [*ANYTHING, {"Changes": [{"Seq": 5}], "Done": False}])
def test_a_log_of_another_form_is_waited_for(
    feed: Feed, server: FakeOrthanc, shape: object
) -> None:
    server.add("a")
    server.shapes["/changes"] = shape
    with pytest.raises(RetryableError):
        feed.poll()
    server.shapes.clear()
    assert len(feed.poll()) == 1


def test_a_log_that_does_not_grow_is_not_read_for_ever(feed: Feed, server: FakeOrthanc) -> None:
    change = {"ChangeType": "NewInstance", "ID": "a-1", "Seq": 0, "Date": ""}
    server.shapes["/changes"] = {"Changes": [change], "Done": False, "Last": 0}
    with pytest.raises(RetryableError, match="another form"):
        feed.poll()


@pytest.mark.parametrize("path", ["/series/a", "/series/a/instances", "/instances/a-3", "/studies"])
@pytest.mark.parametrize("shape", [*ANYTHING, {"MainDicomTags": []}, {"MainDicomTags": {"a": 1}}])
def test_a_series_of_another_form_holds_no_other_up(
    feed: Feed, server: FakeOrthanc, clock: Clock, path: str, shape: object
) -> None:
    """What is read as text may be anything; `a` is taken in the end, and `b` meanwhile."""
    server.add("a")
    server.shapes[path] = shape
    if path != "/studies":
        server.add("b")
    for _ in range(4):
        with suppress(RetryableError):
            feed.poll()
    if path != "/studies":
        assert ("b", 20) in taken(feed)
    server.shapes.clear()
    for _ in range(3):
        clock.now += 61
        feed.poll()
    assert [name for name, _ in taken(feed)].count("a") >= 1


def test_a_series_that_orthanc_cannot_read_holds_no_other_up(
    feed: Feed, server: FakeOrthanc, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server.add("a")
    server.add("b")
    server.faults["/series/a/instances"] = [500] * 6
    for _ in range(2):
        with pytest.raises(RetryableError, match="500"):
            feed.poll()
    feed.poll()
    assert taken(feed) == [("b", 20)]
    for _ in range(4):
        clock.now += 61
        feed.poll()
    assert taken(feed) == [("b", 20), ("a", 20)]
    said = [record.message for record in caplog.records if "set aside" in record.message]
    assert len(said) == 1


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
    assert rule.objection(found.tags, len(found.instances)) == objection


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
