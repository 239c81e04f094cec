from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from renalseg.errors import ConfigError, InputError
from renalseg.worker.database import _SCHEMA, DatabaseError
from renalseg.worker.job import Arrival, Backoff, State
from renalseg.worker.jobs import Jobs

CONTENT = Arrival("s1", "1.2.3", "1.2", "hash", slices=100, bytes=5000)
LARGER = replace(CONTENT, input_hash="larger", slices=120)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(tmp_path: Path, clock: Clock) -> Jobs:
    return Jobs(tmp_path / "jobs.db", Backoff(first=10, longest=100, tries=3), clock)


def start(jobs: Jobs) -> int:
    job = jobs.claim("cpu")
    assert job is not None
    return job.id


def states(jobs: Jobs) -> list[State]:
    """Of all jobs, oldest first."""
    return [job.state for job in reversed(jobs.newest())]


def test_a_series_becomes_a_job(jobs: Jobs) -> None:
    (number,) = jobs.take_in(7, [CONTENT])
    job = jobs.get(number)
    assert (job.state, job.series, job.slices, job.tries) == (State.QUEUED, "s1", 100, 0)
    assert jobs.cursor() == 7


def test_the_same_content_is_never_done_twice(jobs: Jobs) -> None:
    jobs.take_in(1, [CONTENT, CONTENT])
    jobs.finish(start(jobs))
    assert jobs.take_in(2, [CONTENT]) == []
    assert states(jobs) == [State.DONE]


def test_two_series_of_the_same_content_are_two_jobs(jobs: Jobs) -> None:
    assert len(jobs.take_in(1, [CONTENT, replace(CONTENT, series="s2")])) == 2


def test_what_goes_wrong_while_reading_leaves_the_cursor(jobs: Jobs) -> None:
    jobs.take_in(1)
    broken = replace(CONTENT, input_hash=None)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        jobs.take_in(2, [CONTENT, broken])
    assert jobs.cursor() == 1
    assert jobs.newest() == []


def test_jobs_are_claimed_in_order_and_once(jobs: Jobs) -> None:
    first, second = jobs.take_in(1, [CONTENT, replace(CONTENT, series="s2")])
    assert (start(jobs), start(jobs)) == (first, second)
    assert jobs.claim("cpu") is None


def test_a_failed_job_waits_longer_each_time_and_dies(jobs: Jobs, clock: Clock) -> None:
    jobs.take_in(1, [CONTENT])
    waits = []
    for _ in range(2):
        number = start(jobs)
        assert jobs.fail(number, "no memory", 75) == State.RETRY
        waits.append(jobs.get(number).due - clock.now)
        assert not jobs.waiting()
        clock.now = jobs.get(number).due
        assert jobs.waiting()
    assert 5 <= waits[0] <= 10 <= waits[1] <= 20
    assert jobs.fail(start(jobs), "no memory", 75) == State.DEAD
    clock.now += 1e6
    assert jobs.claim("cpu") is None


@pytest.mark.parametrize(("tries", "longest"), [(1, 30), (2, 60), (3, 120), (30, 3600)])
def test_backoff_doubles_up_to_a_bound(tries: int, longest: float) -> None:
    backoff = Backoff(first=30, longest=3600)
    assert backoff.delay(tries, lambda: 1.0) == longest
    assert backoff.delay(tries, lambda: 0.0) == longest / 2


def test_a_refused_job_is_not_tried_again(jobs: Jobs, clock: Clock) -> None:
    jobs.take_in(1, [CONTENT])
    number = start(jobs)
    jobs.refuse(number, "gap of 5 mm", 2)
    clock.now += 1e6
    assert jobs.claim("cpu") is None
    job = jobs.get(number)
    assert (job.state, job.message, job.exit_code) == (State.REFUSED, "gap of 5 mm", 2)


@pytest.mark.parametrize("ended", ["queued", "retry", "refused", "dead", "running"])
def test_late_slices_take_the_place_of_what_is_not_done(jobs: Jobs, ended: str) -> None:
    (old,) = jobs.take_in(1, [CONTENT])
    if ended != "queued":
        start(jobs)
    if ended in ("retry", "dead"):
        jobs.backoff = Backoff(tries=1 if ended == "dead" else 2)
        jobs.fail(old, "")
    if ended == "refused":
        jobs.refuse(old, "")
    assert jobs.get(old).state == ended
    (new,) = jobs.take_in(2, [LARGER])
    assert jobs.get(old).state == State.SUPERSEDED
    assert jobs.get(old).superseded_by == new
    assert jobs.get(new).state == State.QUEUED


def test_what_is_done_stands_until_late_slices_are_done(jobs: Jobs) -> None:
    jobs.take_in(1, [CONTENT])
    old = start(jobs)
    jobs.note_results(old, ["seg"])
    jobs.finish(old)
    jobs.take_in(2, [LARGER])
    assert jobs.get(old).state == State.DONE
    new = start(jobs)
    (superseded,) = jobs.finish(new)
    assert (superseded.id, superseded.results) == (old, ("seg",))
    assert states(jobs) == [State.SUPERSEDED, State.DONE]


def test_fewer_slices_than_are_done_are_no_news(jobs: Jobs) -> None:
    jobs.take_in(1, [LARGER])
    jobs.finish(start(jobs))
    assert jobs.take_in(2, [CONTENT]) == []


def test_fewer_slices_than_were_refused_are_tried(jobs: Jobs) -> None:
    jobs.take_in(1, [LARGER])
    jobs.refuse(start(jobs), "two slices at one place")
    assert len(jobs.take_in(2, [CONTENT])) == 1


def test_a_superseded_job_that_ends_stays_superseded(jobs: Jobs) -> None:
    jobs.take_in(1, [CONTENT])
    old = start(jobs)
    jobs.take_in(2, [LARGER])
    assert jobs.finish(old) == []
    jobs.refuse(old, "")
    jobs.fail(old, "")
    assert jobs.get(old).state == State.SUPERSEDED


def test_a_job_that_is_handed_back_keeps_its_tries(jobs: Jobs) -> None:
    jobs.take_in(1, [CONTENT])
    number = start(jobs)
    jobs.hand_back(number)
    assert (jobs.get(number).state, jobs.get(number).tries) == (State.QUEUED, 0)


def test_a_job_that_kills_workers_is_given_up(jobs: Jobs) -> None:
    jobs.take_in(1, [CONTENT])
    for expected in (State.QUEUED, State.QUEUED, State.DEAD):
        number = start(jobs)
        jobs.revive(number)
        assert jobs.get(number).state == expected


def test_retry_by_hand_gives_all_tries_back(jobs: Jobs) -> None:
    jobs.take_in(1, [CONTENT])
    number = start(jobs)
    jobs.refuse(number, "no room")
    jobs.retry(number)
    assert (jobs.get(number).state, jobs.get(number).tries) == (State.QUEUED, 0)
    with pytest.raises(InputError, match="Job 1 is queued"):
        jobs.retry(number)
    with pytest.raises(InputError, match="no job 99"):
        jobs.retry(99)


def test_all_outlives_the_process(jobs: Jobs, tmp_path: Path) -> None:
    jobs.take_in(5, [CONTENT], arrived=["i1"])
    number = start(jobs)
    jobs.note_process(number, 123, "456")
    jobs.database.close()
    again = Jobs(tmp_path / "jobs.db")
    assert again.cursor() == 5
    assert again.unsettled(-1e12) == ["i1"]
    (job,) = again.newest(State.RUNNING)
    assert (job.pid, job.born) == (123, "456")
    assert [state for _, state, _ in again.events(number)] == ["queued", "running"]


def test_instances_wait_until_their_series_was_looked_at(jobs: Jobs, clock: Clock) -> None:
    jobs.take_in(1, arrived=["a", "b", "c"])
    clock.now += 10
    jobs.take_in(2, arrived=["d"], settled=["a"])
    jobs.postpone(["b"])
    assert jobs.unsettled(10) == ["c"]


def test_a_database_of_another_version_is_refused(jobs: Jobs, tmp_path: Path) -> None:
    jobs.database.change("PRAGMA user_version = 99")
    jobs.database.close()
    with pytest.raises(ConfigError, match=r"version 4 at .*, got 99"):
        Jobs(tmp_path / "jobs.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_text("not a database, but long enough to be looked at" * 40)
    with pytest.raises(ConfigError, match=r"database of jobs at .*jobs\.db"):
        Jobs(path)


def test_the_database_is_for_its_owner_alone(jobs: Jobs, tmp_path: Path) -> None:
    assert (tmp_path / "jobs.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_set_holds_nothing_up(jobs: Jobs, clock: Clock, days: int) -> None:
    jobs.take_in(1, [CONTENT], arrived=["i1"])
    jobs.fail(start(jobs), "no memory")
    clock.now += days * 86400
    assert jobs.unsettled(300) == ["i1"]
    assert jobs.waiting()
    number = start(jobs)
    jobs.keep(number)
    jobs.deliver_later(number, "away")
    clock.now -= days * 86400
    assert [job.id for job in jobs.to_deliver()] == [number]
    assert jobs.get(number).waited < 100


def test_a_database_of_version_1_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        old.executescript(_SCHEMA)
        old.execute("PRAGMA user_version = 1")
        old.execute("INSERT INTO cursor VALUES (1, 30)")
        old.execute(
            "INSERT INTO job (series, series_uid, study_uid, input_hash, slices, bytes, state, "
            "created, due) VALUES ('s1', '1.2', '1', 'hash', 100, 5000, 'queued', 5, 5)"
        )
    old.close()
    for _ in range(2):
        jobs = Jobs(path)
        assert (jobs.cursor(), jobs.points()) == (30, [])
        (job,) = jobs.newest()
        assert (job.state, job.sent, job.waited) == (State.QUEUED, (), 0)
        jobs.database.close()


def lock(path: Path) -> sqlite3.Connection:
    """Another process that writes to a database."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_a_lock_that_another_holds_is_waited_for(jobs: Jobs, tmp_path: Path) -> None:
    jobs.database.change("PRAGMA busy_timeout = 20")
    other = lock(tmp_path / "jobs.db")
    with pytest.raises(DatabaseError, match="is not usable at the moment: database is locked"):
        jobs.take_in(1, [CONTENT])
    other.execute("ROLLBACK")
    other.close()
    assert len(jobs.take_in(1, [CONTENT])) == 1


def test_a_full_disk_undoes_what_was_begun(jobs: Jobs) -> None:
    """SQLite's own limit stands for the disk's."""
    pages = int(jobs.database.scalar("PRAGMA page_count"))
    jobs.database.change(f"PRAGMA max_page_count = {pages}")
    many = [replace(CONTENT, series=f"s{number}" * 50) for number in range(500)]
    with pytest.raises(DatabaseError, match="full"):
        jobs.take_in(1, many)
    assert (jobs.newest(), jobs.cursor()) == ([], None)
    jobs.database.change("PRAGMA max_page_count = 100000")
    assert len(jobs.take_in(1, many)) == 500


def test_results_that_are_tried_early_have_not_waited(jobs: Jobs) -> None:
    """An Orthanc that comes and goes uses up none of the days."""
    jobs.backoff = Backoff(first=1000, store=5000)
    jobs.take_in(1, [CONTENT])
    number = start(jobs)
    jobs.keep(number)
    for _ in range(100):
        jobs.deliver_later(number, "away")
        jobs.deliver_now()
    assert jobs.get(number).state == State.STORING
    assert jobs.get(number).waited == pytest.approx(0, abs=1e-6)
    assert [job.id for job in jobs.to_deliver()] == [number]


def test_tries_to_store_are_at_most_a_quarter_of_an_hour_apart() -> None:
    backoff = Backoff()
    assert [backoff.store_delay(tries, lambda: 1.0) for tries in (1, 2, 3, 6, 5000)] == [
        *(30, 60, 120, 900, 900)
    ]
