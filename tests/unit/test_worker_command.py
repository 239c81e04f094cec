from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from renalseg.commands.main import main
from renalseg.commands.worker import default_folder, devices
from renalseg.errors import ConfigError
from renalseg.worker.job import Arrival
from renalseg.worker.jobs import Jobs
from renalseg.worker.locks import only_worker
from renalseg.worker.scratch import Scratch
from tests.factories.fake_orthanc import FakeOrthanc, serve
from tests.factories.orthanc import wait_for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a job that was refused, and one that waits."""
    jobs = Jobs(tmp_path / "jobs.db")
    jobs.take_in(
        1, [Arrival("s1", "1.2.3", "1.2", "h", 120, 5), Arrival("s2", "1.2.4", "1", "h", 9, 5)]
    )
    assert jobs.claim("cpu") is not None
    jobs.refuse(1, "gap of [5] mm", 2)
    jobs.database.close()
    return tmp_path


def test_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "list", "--folder", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "gap of [5] mm" in shown
    assert "refused" in shown
    assert "queued" in shown


def test_list_is_what_no_action_does(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENALSEG_WORKER", str(folder))
    assert main(["jobs"]) == 0
    assert "refused" in capsys.readouterr().out


def test_list_of_one_state(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["jobs", "list", "--folder", str(folder), "--state", "queued", "--json"])
    (job,) = json.loads(capsys.readouterr().out)
    assert (job["id"], job["series"], job["slices"]) == (2, "s2", 9)


def test_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["jobs", "show", "1", "--folder", str(folder)])
    shown = capsys.readouterr().out
    for part in ("1.2.3", "gap of [5] mm", "running", "try 1 on cpu"):
        assert part in shown


def test_show_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["jobs", "show", "1", "--json", "--folder", str(folder)])
    job = json.loads(capsys.readouterr().out)
    assert job["exit_code"] == 2
    assert [event["state"] for event in job["events"]] == ["queued", "running", "refused"]


def test_retry(folder: Path) -> None:
    assert main(["jobs", "retry", "1", "--folder", str(folder)]) == 0
    assert [job.state for job in Jobs(folder / "jobs.db").newest()] == ["queued", "queued"]


def test_retry_of_a_state(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["jobs", "retry", "--state", "refused", "--folder", str(folder)])
    assert "1 queued" in capsys.readouterr().out


def test_count(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "count", "--folder", str(folder)]) == 0
    assert capsys.readouterr().out == "queued 1\nrefused 1\n2 jobs, 1 unfinished\n"
    main(["jobs", "count", "--folder", str(folder), "--json"])
    counts = json.loads(capsys.readouterr().out)
    assert (counts["queued"], counts["dead"], sum(counts.values())) == (1, 0, 2)


def test_backup(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has what was written when it was made, though the database is open and goes on."""
    running = Jobs(folder / "jobs.db")
    backup = tmp_path / "backup" / "jobs.db"
    backup.parent.mkdir()
    for _ in range(2):  # the second replaces the first
        assert main(["jobs", "backup", str(backup), "--folder", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{backup}: 2 jobs, 1 unfinished"
    assert backup.stat().st_mode & 0o777 == 0o600
    running.retry(1)
    running.database.close()
    assert main(["jobs", "count", "--folder", str(backup.parent)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 jobs, 1 unfinished"
    assert [path.name for path in backup.parent.iterdir()] == ["jobs.db"]


@pytest.mark.parametrize("name", ["jobs.db", "jobs.db/copy.db"])
def test_a_backup_in_the_place_of_the_database_is_refused(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folder / name
    assert main(["jobs", "backup", str(place), "--folder", str(folder)]) == 2
    assert f"Expected a place for a backup at {place}" in capsys.readouterr().err
    assert len(Jobs(folder / "jobs.db").newest()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["retry", "2"], "Job 2 is queued"),
        (["retry", "9"], "no job 9"),
        (["retry"], "numbers of jobs, or --state"),
        (["show", "9"], "no job 9"),
    ],
)
def test_calls_that_are_refused(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", *arguments, "--folder", str(folder)]) == 2
    assert message in capsys.readouterr().err


def test_a_database_is_not_made_by_looking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "list", "--folder", str(tmp_path)]) == 2
    assert "found none at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Expected --orthanc URL"),
        (["--orthanc", "nowhere"], "such as http://127.0.0.1:8042"),
        (["--orthanc", "http://127.0.0.1:1", "--jobs", "2"], "--device cpu for several"),
        (["--orthanc", "http://127.0.0.1:1", "--command", "ls"], "{input} and {output}"),
        (["--orthanc", "http://127.0.0.1:1", "--description", "("], "regular expression"),
    ],
)
def test_workers_that_do_not_start(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["worker", "--folder", str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_worker_whose_password_is_wrong_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(FakeOrthanc(faults={"/system": [401]})) as server:
        assert main(["worker", "--orthanc", server.url, "--folder", str(tmp_path)]) == 2
    assert "401: check RENALSEG_ORTHANC_USER" in capsys.readouterr().err


def test_a_second_worker_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with only_worker(tmp_path / "jobs.db"):
        assert main(["worker", "--orthanc", "http://127.0.0.1:1", "--folder", str(tmp_path)]) == 2
    assert "found another one" in capsys.readouterr().err


def test_a_second_worker_of_a_scratch_folder_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = tmp_path / "shared"
    call = ["worker", "--orthanc", "http://127.0.0.1:1", "--scratch", str(shared)]
    with Scratch(shared, 1, 1).only():
        assert main([*call, "--folder", str(tmp_path / "second")]) == 2
    assert "only worker of the scratch folder" in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    call = ["worker", "--orthanc", "http://127.0.0.1:1", "--folder", str(tmp_path / "file")]
    assert main(call) == 2
    assert "Expected a folder for the worker at" in capsys.readouterr().err


@contextmanager
def running(folder: Path, url: str, *options: str, **environment: str) -> Iterator[None]:
    """A worker as a process, whose log is in a file of its folder."""
    call = [
        *(
            sys.executable,
            "-m",
            "renalseg.commands.main",
            "worker",
            "--orthanc",
            url,
            "--folder",
            folder,
        ),
        *("--listen", "127.0.0.1:0", "--interval", "0.2", *options),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in call], stderr=log, env={**os.environ, **environment}
        )
    try:
        yield
        process.terminate()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()


def log_of(folder: Path) -> str:
    return (folder / "log").read_text()


@pytest.mark.parametrize(
    ("options", "environment"), [(["--log-json"], {}), ([], {"RENALSEG_LOG": "json"})]
)
def test_the_log_as_json(tmp_path: Path, options: list[str], environment: dict[str, str]) -> None:
    with serve(FakeOrthanc()) as server:
        server.add("a", 5)
        options = [*options, "--backlog"]
        with running(tmp_path, server.url, *options, **environment):
            wait_for(lambda: "is skipped" in log_of(tmp_path), "the series")
    lines = [json.loads(line) for line in log_of(tmp_path).splitlines()]
    assert all({"time", "level", "event"} <= set(line) for line in lines)
    said = [line.get("message") for line in lines]
    assert "series a is skipped: 5 slices, fewer than 20" in said
    assert said.count("Orthanc answers") == 1


def test_a_value_of_a_header_forges_no_line(tmp_path: Path) -> None:
    forged = "CT\n2026-01-01 00:00:00,000 INFO job 7 is done\x1b[2J"
    with serve(FakeOrthanc()) as server:
        server.add("a", Modality=forged)
        with running(tmp_path, server.url, "--backlog"):
            wait_for(lambda: "is skipped" in log_of(tmp_path), "the series")
    text = log_of(tmp_path)
    assert "\x1b" not in text
    assert all(line[:4].isdigit() and "INFO job 7" not in line[:40] for line in text.splitlines())


def test_an_orthanc_that_is_away_is_said_once(tmp_path: Path) -> None:
    """The library that sends requests says nothing of its own repetitions."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with running(tmp_path, url):
        wait_for(lambda: "waiting for Orthanc" in log_of(tmp_path), "the worker")
        time.sleep(5)  # several polls
    lines = log_of(tmp_path).splitlines()
    assert len([line for line in lines if "Connection refused" in line]) == 1
    assert len(lines) == 3  # with the address of the metrics, and the end


@pytest.mark.parametrize(
    ("names", "jobs", "expected"),
    [
        ("auto", 1, ["auto"]),
        ("cpu", 3, ["cpu", "cpu", "cpu"]),
        ("cuda:0,cuda:1", 1, ["cuda:0", "cuda:1"]),
    ],
)
def test_devices(names: str, jobs: int, expected: list[str]) -> None:
    assert devices(names, jobs) == expected


@pytest.mark.parametrize(
    ("names", "jobs"), [("auto", 2), ("cuda:0", 2), ("cuda:0,cuda:0", 1), ("", 1), ("cpu", 0)]
)
def test_a_gpu_does_one_job(names: str, jobs: int) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        devices(names, jobs)


def test_where_jobs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/lib")
    assert default_folder() == Path("/var/lib/renalseg")
    monkeypatch.setenv("RENALSEG_WORKER", "/jobs")
    assert default_folder() == Path("/jobs")
