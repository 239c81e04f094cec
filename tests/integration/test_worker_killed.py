"""A worker that is killed again and again, at any point, loses nothing and stores nothing twice."""

from __future__ import annotations

import os
import random
import shlex
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from renalseg.worker.job import State
from renalseg.worker.jobs import Jobs
from tests.factories.fake_orthanc import FakeOrthanc, serve
from tests.factories.orthanc import wait_for

KILLS = 30
SEED = 18
SLICES = 20
PROGRAM = f"""
import json, pathlib, random, sys, time
source, out, log = map(pathlib.Path, sys.argv[1:])
slices = [path.read_text() for path in source.iterdir()]
(name,) = {{text.split()[-1] for text in slices}}
if len(slices) != {SLICES}:
    sys.exit("slices are missing")
with log.open("a") as file:
    file.write(name + "\\n")
time.sleep(random.uniform(0, 0.4))
files = [f"{{name}}.seg.dcm", f"{{name}}.sr.dcm"]
for file in files:
    (out / file).write_text(file)
study = {{"finding": "no tumor found", "files": files}}
(out / "result.json").write_text(json.dumps({{"studies": [study]}}))
"""


def start(folder: Path, server: FakeOrthanc) -> subprocess.Popen[bytes]:
    command = shlex.join(
        [sys.executable, "-c", PROGRAM, "{input}", "{output}", str(folder / "runs")]
    )
    call = [
        *(
            sys.executable,
            "-m",
            "renalseg.commands.main",
            "worker",
            "--orthanc",
            server.url,
            "--backlog",
        ),
        *("--folder", str(folder), "--command", command, "--device", "cpu", "--jobs", "2"),
        *("--interval", "0.2", "--retry-after", "0.1", "--tries", "1000"),
        *("--listen", "127.0.0.1:0", "--forward", "pacs", "--log-json"),
    ]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(call, stderr=log, env=dict(os.environ))


def wait_until(server: FakeOrthanc, requests: int, seconds: float) -> None:
    """Wait for so many requests, and no longer than so many seconds after the first."""
    before, limit = len(server.requests), time.monotonic() + 60
    while len(server.requests) - before < requests and time.monotonic() < limit:
        if len(server.requests) > before:
            limit = min(limit, time.monotonic() + seconds)
        time.sleep(0.002)


@pytest.mark.slow
def test_thirty_kills_lose_nothing_and_store_nothing_twice(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    created: Counter[bytes] = Counter()
    names = [f"s{number}" for number in range(KILLS)]
    with serve(FakeOrthanc()) as server:
        post = server.answer

        def answer(method: str, path: str, body: bytes) -> object:
            found = post(method, path, body)
            if (method, path) == ("POST", "/instances") and found["Status"] == "Success":
                created[body] += 1
            return found

        server.answer = answer  # type: ignore[method-assign]
        for name in names:
            server.add(name, SLICES)
            if chance.random() < 0.3:
                server.faults["/modalities"].append(500)
            process = start(tmp_path, server)
            try:
                wait_until(server, chance.randrange(1, 200), chance.uniform(0, 1.5))
            finally:
                process.kill()
                process.wait()
        jobs = Jobs(tmp_path / "jobs.db")
        killed_in = Counter(str(job.state) for job in jobs.newest())
        process = start(tmp_path, server)
        try:
            wait_for(lambda: len(jobs.newest(State.DONE)) == len(names), "all jobs")
            process.terminate()
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
            process.wait()
    assert len(jobs.newest()) == len(names)
    assert created == {f"{name}.{kind}.dcm".encode(): 1 for name in names for kind in ("seg", "sr")}
    forwarded = [set(sent) for _, sent in server.forwarded]
    for job in jobs.newest():
        assert (len(job.results), job.sent) == (2, ("pacs",))
        assert set(job.results) in forwarded
    left = sorted(path.name for path in (tmp_path / "scratch").iterdir())
    assert left == []
    interrupted = sum(len(jobs.events(job.id)) for job in jobs.newest()) - 5 * len(names)
    assert interrupted > 0, killed_in  # or the kills came too late to interrupt anything
    runs = Counter((tmp_path / "runs").read_text().split())
    assert set(runs) == set(names)
