"""``python -m tools load-day``: a day of a hospital in minutes, and how memory and queue develop.

A real worker takes series from an Orthanc of a few lines, by HTTP, and stores results there. A
shell script stands in for the segmentation, so that what is measured is the worker alone. Half of
the series arrive at any hour, half from 8 to 17 h; from 12 to 13 h Orthanc is away.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from renalseg.errors import RetryableError
from renalseg.worker.job import UNFINISHED, State
from renalseg.worker.jobs import Jobs
from tests.factories.fake_orthanc import FakeOrthanc, serve

ROOT = Path(__file__).parents[1]
SLICES = 5
AWAY = (12.0, 13.0)  # h
_SAMPLES = 500  # in 24 h
_LAST_HOUR = 72.0  # by which a worker that cannot keep up is given up
_SCRIPT = """\
printf 'segmentation of %s slices' "$(ls "$1" | wc -l)" > "$2/a.seg.dcm"
printf '{"studies": [{"finding": "no tumor found", "files": ["a.seg.dcm"]}]}' > "$2/result.json"
"""


class Sample(NamedTuple):
    """What was seen at a time.

    Attributes:
        hour: Of the day that is played.
        rss: Memory of the worker, in MiB.
        unfinished: Jobs that wait, run, or whose results wait.
        done: Jobs that are done.
    """

    hour: float
    rss: float
    unfinished: int
    done: int


class Day(FakeOrthanc):
    """The archive of a day: each series is of a patient of its own."""

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """Answers as its base, but for patients."""
        if path.endswith("/patient"):
            return {"MainDicomTags": {"PatientID": path}, "Studies": ["study"]}
        return super().answer(method, path, body)


def arrivals(series: int) -> list[float]:
    """Hours at which series arrive, in order; the same at each call."""
    chance = random.Random(0)
    return sorted(chance.uniform(*((0, 24), (8, 17))[number % 2]) for number in range(series))


def play(series: int, minutes: float, folder: Path) -> list[Sample]:
    """Plays the day and what is left to do after it.

    Args:
        series: How many arrive.
        minutes: Length of the 24 hours.
        folder: For the worker.

    Raises:
        RetryableError: The worker ended, or did not do all of it in three days.
    """
    samples: list[Sample] = []
    with serve(Day()) as server:
        worker = _start(folder, server.url)
        try:
            due, start = list(enumerate(arrivals(series))), time.monotonic()
            while not samples or samples[-1].done < series:
                hour = (time.monotonic() - start) / (minutes * 60) * 24
                while due and due[0][1] <= hour:
                    server.add(f"s{due.pop(0)[0]}", SLICES)
                server.faults["/"] = [503] * 1000 if AWAY[0] <= hour < AWAY[1] else []
                server.requests.clear()
                if worker.poll() is not None or hour > _LAST_HOUR:
                    raise RetryableError(f"Expected {series} jobs done, found {samples[-1:]}")
                if (folder / "jobs.db").is_file():
                    samples.append(_look(hour, worker.pid, folder))
                time.sleep(minutes * 60 / _SAMPLES)
        finally:
            worker.terminate()
            worker.wait()
    return samples


def _start(folder: Path, url: str) -> subprocess.Popen[bytes]:
    script = folder / "segment.sh"
    script.write_text(_SCRIPT, encoding="utf-8")
    options = {
        "orthanc": url, "folder": folder, "command": f"sh {script} {{input}} {{output}}",
        "device": "cpu", "jobs": 2, "min-slices": SLICES, "interval": 1, "retry-after": 1,
        "listen": "127.0.0.1:0",
    }  # fmt: skip
    command = [sys.executable, "-m", "renalseg.commands.main", "worker", "--backlog"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command, stderr=log, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )


def _look(hour: float, pid: int, folder: Path) -> Sample:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    jobs = Jobs(folder / "jobs.db")
    try:
        counts = jobs.counts()
    finally:
        jobs.database.close()
    unfinished = sum(counts.get(state, 0) for state in UNFINISHED)
    rss = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return Sample(hour, rss, unfinished, counts.get(State.DONE, 0))


def growth(samples: list[Sample]) -> float:
    """MiB by which memory grew from the second to the last quarter of the jobs, as medians."""
    total = samples[-1].done
    second = [s.rss for s in samples if total / 4 <= s.done < total / 2]
    last = [s.rss for s in samples if s.done >= total * 3 / 4]
    return median(last) - median(second)


def draw(samples: list[Sample]) -> Figure:
    """Memory above, jobs below, by hour."""
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    hours = [sample.hour for sample in samples]
    above.plot(hours, [sample.rss for sample in samples])
    above.set_ylabel("memory of the worker (MiB)")
    below.plot(hours, [sample.unfinished for sample in samples], label="unfinished")
    below.plot(hours, [sample.done for sample in samples], label="done")
    below.set_ylabel("jobs")
    below.set_xlabel("hour")
    below.legend()
    for axes in (above, below):
        axes.axvspan(*AWAY, alpha=0.2, color="gray")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    above.set_title(f"{samples[-1].done} series in a day; gray: the archive is away")
    return figure


def add_load_day_command(tools: Any) -> None:
    """Adds `load-day` to the subcommands of a parser."""
    parser: argparse.ArgumentParser = tools.add_parser(
        "load-day", help="play a day of a hospital against the worker (Linux)"
    )
    parser.add_argument("--series", type=int, default=2000, metavar="N", help="that arrive (2000)")
    parser.add_argument("--minutes", type=float, default=15, help="length of the day (15)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="PNG or SVG")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    parser.set_defaults(action=_run)


def _run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="renalseg-day-") as folder:
        samples = play(options.series, options.minutes, Path(folder))
    if options.plot:
        draw(samples).savefig(options.plot, dpi=120)
    print(  # noqa: T201
        f"{samples[-1].done} series, at most {max(s.unfinished for s in samples)} unfinished, "
        f"done at hour {samples[-1].hour:.1f}; memory {samples[-1].rss:.0f} MiB, "
        f"{growth(samples):+.1f} MiB from the second to the last quarter"
    )
