"""What the worker does with earlier results: the prior of a patient, and edited segmentations."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from renalseg.worker.http import Connection
from renalseg.worker.job import Backoff, Job, State
from renalseg.worker.jobs import Jobs
from renalseg.worker.orthanc.client import Orthanc
from renalseg.worker.orthanc.feed import Feed
from renalseg.worker.process import Ended, run
from renalseg.worker.rules import Rule
from renalseg.worker.scratch import Scratch
from renalseg.worker.task import Task
from renalseg.worker.work import Work
from tests.factories.fake_orthanc import FakeOrthanc, serve

_HEAD = """
import json, pathlib, sys
def write(folder, text, **more):
    out = pathlib.Path(folder)
    out.mkdir(exist_ok=True)
    out.joinpath("a.sr.dcm").write_text(text)
    study = {"finding": "tumor found", "files": ["a.sr.dcm"], **more}
    out.joinpath("result.json").write_text(json.dumps({"studies": [study]}))
def read(folder):
    assert json.loads(pathlib.Path(folder, "result.json").read_text())["studies"]
    return pathlib.Path(folder, "a.sr.dcm").read_text()
def count(folder):
    return len(list(pathlib.Path(folder).iterdir()))
"""
RUN = "write(sys.argv[2], f'report of {count(sys.argv[1])}')"
COMPARE = (
    "prior, now, out, ct, *more = sys.argv[1:]\n"
    "(study,) = json.loads(pathlib.Path(now, 'result.json').read_text())['studies']\n"
    "write(out, f'{read(now)} {count(ct)}, after {read(prior)}, {[count(m) for m in more[1:]]}', "
    "comparison={'days': 1}, corrected=study.get('corrected'))"
)
MEASURE = (
    "ct, seg, out, earlier = sys.argv[1:]\n"
    "text = pathlib.Path(seg).read_text()\n"
    "write(out, f'{count(ct)} by {text} from {read(earlier)}', corrected={'seg': '1'})"
)


def program(text: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", _HEAD + textwrap.dedent(text), *arguments)


class Bench:
    """A worker's parts, with programs of a few lines."""

    def __init__(self, server: FakeOrthanc, folder: Path) -> None:
        self.server = server
        orthanc = Orthanc(Connection(server.url))
        self.jobs = Jobs(folder / "jobs.db", Backoff(tries=3))
        self.feed = Feed(orthanc, self.jobs, Rule(), backlog=True, corrections=True)
        self.scratch = Scratch(folder, 1_000_000, 1)
        self.orthanc = orthanc

    def work(self, compare: str = COMPARE) -> Work:
        task = Task(
            program(RUN, "{input}", "{output}"),
            measure=program(MEASURE, "{input}", "{edited}", "{output}", "{earlier}"),
            compare=program(compare, "{prior}", "{output}", "{compared}", "{input}")
            if compare
            else (),
        )
        return Work(self.orthanc, self.jobs, self.scratch, task)

    def do(self, compare: str = COMPARE) -> list[Job]:
        """Does all jobs there are."""
        self.feed.poll()
        work, done = self.work(compare), []
        while (job := self.jobs.claim("cpu")) is not None:
            work.do(job)
            work.store()
            done.append(self.jobs.get(job.id))
        return done

    def receive(self, series: str, date: str, slices: int = 20) -> None:
        """A CT of a study of its own arrives."""
        self.server.studies[series] = series
        self.server.dates[series] = date
        self.server.add(series, slices)

    def edit(self, series: str, of: str, *made: str, **tags: str) -> None:
        """A segmentation of a CT arrives, whose segments were made in some ways."""
        self.server.studies[series] = self.server.studies[of]
        self.server.receive(series, 1, Modality="SEG", Manufacturer="dcmjs", **tags)
        name = f"{series}-0/content"
        self.server.contents |= {
            f"{name}/0008-1115/0/0020-000e": f"1.2.{of}".encode() + b"\0",
            f"{name}/0062-0002": [str(number) for number in range(len(made))],
            **{f"{name}/0062-0002/{n}/0062-0008": kind.encode() for n, kind in enumerate(made)},
        }
        self.server.settle(series)

    def texts(self) -> list[str]:
        return [content.decode() for content in self.server.stored.values()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with serve(FakeOrthanc()) as server:
        yield Bench(server, tmp_path)


# Follow-up


def test_a_result_is_compared_with_the_one_before_it_of_the_patient(bench: Bench) -> None:
    bench.receive("old", "20230101", 21)
    bench.receive("last", "20240101", 22)
    bench.do(compare="")
    bench.receive("now", "20250101", 23)
    (job,) = bench.do()
    assert job.state == State.DONE
    assert job.finding == "tumor found, compared with an earlier study"
    # the comparison came in the place of the result, and had both CTs
    assert bench.texts()[2:] == ["report of 23 23, after report of 22, [22]"]
    assert list(bench.scratch.root.iterdir()) == []


def test_without_a_patient_id_nothing_is_compared(bench: Bench) -> None:
    """Orthanc takes all that has none for one patient."""
    bench.server.patient["PatientID"] = ""
    bench.receive("old", "20240101", 21)
    bench.receive("now", "20250101", 22)
    bench.do()
    assert bench.texts() == ["report of 21", "report of 22"]


@pytest.mark.parametrize("date", ["20250101", "20260101", ""])
def test_only_what_is_older_is_a_prior(bench: Bench, date: str) -> None:
    bench.receive("other", date, 21)
    bench.receive("now", "20250101", 22)
    bench.do(compare="")
    bench.jobs.retry(2)
    (job,) = bench.do()
    assert job.finding == "tumor found"


def test_a_prior_that_was_deleted_is_none(bench: Bench) -> None:
    bench.receive("old", "20240101", 21)
    bench.do()
    bench.server.stored.clear()
    bench.receive("now", "20250101", 22)
    assert [job.state for job in bench.do()] == [State.DONE]
    assert bench.texts() == ["report of 22"]


def test_a_prior_whose_ct_was_deleted_is_compared_by_its_segmentation(bench: Bench) -> None:
    bench.receive("old", "20240101", 21)
    bench.do()
    del bench.server.files["old"]
    bench.receive("now", "20250101", 22)
    bench.do()
    assert bench.texts()[1:] == ["report of 22 22, after report of 21, []"]


@pytest.mark.parametrize("fault", ["sys.exit(2)", "sys.exit(1)", "sys.exit(75)", "pass"])
def test_a_comparison_that_fails_leaves_the_result(bench: Bench, fault: str) -> None:
    bench.receive("old", "20240101", 21)
    bench.do()
    bench.receive("now", "20250101", 22)
    (job,) = bench.do(compare=fault)
    assert (job.state, job.tries) == (State.DONE, 1)
    assert bench.texts()[1:] == ["report of 22"]


def test_what_was_computed_while_the_server_went_away_is_kept_and_compared(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.receive("old", "20240101", 21)
    bench.do()
    bench.receive("now", "20250101", 22)

    def run_and_go_away(*arguments: Any, **options: Any) -> Ended:
        ended = run(*arguments, **options)
        bench.server.faults["/"] = [503] * 1000
        return ended

    monkeypatch.setattr("renalseg.worker.work.run", run_and_go_away)
    bench.feed.poll()
    job = bench.jobs.claim("cpu")
    assert job is not None
    assert bench.work().do(job) == State.STORING
    bench.server.faults.clear()
    bench.work().store()
    assert bench.texts()[1:] == ["report of 22 22, after report of 21, []"]


# Corrections


def test_an_edited_segmentation_is_measured(bench: Bench) -> None:
    bench.receive("ct", "20250101", 21)
    bench.do()
    bench.edit("seg", "ct", "AUTOMATIC", "MANUAL")
    (job,) = bench.do()
    assert (job.state, job.corrects) == (State.DONE, 1)
    assert job.finding == "tumor found, corrected by a person"
    assert bench.texts()[1:] == ["21 by slice 0 of seg from report of 21"]
    assert bench.jobs.get(1).state == State.DONE
    bench.server.changes.append(("StableSeries", "seg"))  # the same, once more
    assert bench.do() == []


def test_a_second_edit_starts_from_the_first(bench: Bench) -> None:
    bench.receive("ct", "20250101", 21)
    bench.do()
    bench.edit("one", "ct", "MANUAL")
    bench.do()
    bench.edit("two", "ct", "SEMIAUTOMATIC")
    bench.do()
    first = "21 by slice 0 of one from report of 21"
    assert bench.texts()[1:] == [first, f"21 by slice 0 of two from {first}"]


def test_a_correction_is_compared_and_is_the_next_prior(bench: Bench) -> None:
    bench.receive("old", "20240101", 21)
    bench.receive("ct", "20250101", 22)
    bench.do(compare="")
    bench.edit("seg", "old", "MANUAL")
    bench.do()
    bench.edit("more", "ct", "MANUAL")
    (job,) = bench.do()
    assert job.finding == "tumor found, corrected by a person, compared with an earlier study"
    old = "21 by slice 0 of seg from report of 21"
    assert bench.texts()[-1] == f"22 by slice 0 of more from report of 22 22, after {old}, [21]"


@pytest.mark.parametrize(
    ("of", "made", "tags"),
    [
        ("ct", ["MANUAL"], {"Manufacturer": "RenalSeg", "SeriesNumber": "900"}),
        ("ct", ["AUTOMATIC", "AUTOMATIC"], {}),
        ("ct", [], {}),
        ("unknown", ["MANUAL"], {}),
    ],
)
def test_what_no_person_edited_makes_no_job(
    bench: Bench, of: str, made: list[str], tags: dict[str, str]
) -> None:
    bench.receive("ct", "20250101")
    bench.do()
    bench.server.studies["unknown"] = "ct"
    bench.edit("seg", "ct", *made)
    bench.server.tags["seg"] |= tags
    bench.server.contents["seg-0/content/0008-1115/0/0020-000e"] = f"1.2.{of}".encode()
    assert bench.do() == []


def test_corrections_can_be_turned_off(bench: Bench) -> None:
    bench.feed.corrections = False
    bench.receive("ct", "20250101")
    bench.do()
    bench.edit("seg", "ct", "MANUAL")
    assert bench.do() == []


def test_a_correction_of_what_was_superseded_is_refused(bench: Bench) -> None:
    bench.receive("ct", "20250101")
    bench.do()
    bench.edit("seg", "ct", "MANUAL")
    bench.feed.poll()
    bench.server.receive("ct", 4, first=20)
    bench.server.settle("ct")
    bench.feed.poll()
    work = bench.work()
    correction, ct = bench.jobs.claim("cpu"), bench.jobs.claim("cpu")
    assert correction is not None
    assert ct is not None
    work.do(ct)
    work.store()
    work.do(correction)
    assert bench.jobs.get(correction.id).state == State.REFUSED


def test_a_killed_worker_measures_once(bench: Bench) -> None:
    bench.receive("ct", "20250101", 21)
    bench.do()
    bench.edit("seg", "ct", "MANUAL")
    bench.feed.poll()
    job = bench.jobs.claim("cpu")
    assert job is not None
    bench.work().do(job)  # computed, and not stored
    again = bench.work()
    again.take_up()
    again.store()
    assert bench.jobs.get(job.id).state == State.DONE
    assert len(bench.texts()) == 2


def test_an_older_database_is_brought_up_to_date(bench: Bench, tmp_path: Path) -> None:
    """Its jobs have no result that can be read again."""
    bench.receive("old", "20240101")
    bench.do()
    database = bench.jobs.database
    database.change("DROP TABLE seen")
    database.change("ALTER TABLE job DROP COLUMN step")
    database.change("DROP TABLE result")
    database.change("DROP INDEX job_study")
    database.change("DROP INDEX job_source")
    database.change("ALTER TABLE job DROP COLUMN corrects")
    database.change("PRAGMA user_version = 2")
    database.close()
    bench.jobs = Jobs(tmp_path / "jobs.db")
    bench.feed = Feed(bench.orthanc, bench.jobs, Rule(), backlog=True, corrections=True)
    assert bench.jobs.get(1).corrects is None
    bench.receive("now", "20250101", 22)
    (job,) = bench.do()
    assert job.finding == "tumor found"
    assert json.loads(bench.jobs.result(job.id) or "")["studies"]
