"""What the worker tells whoever watches it: health, readiness, and metrics for Prometheus."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from renalseg import __version__
from renalseg.errors import ConfigError
from renalseg.worker.database import Database, DatabaseError
from renalseg.worker.job import WAITING, State
from renalseg.worker.loop import Worker

_BUCKETS = (10, 30, 60, 120, 300, 600, 1800, 3600)  # seconds
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def exposition(worker: Worker) -> str:
    """All metrics, in Prometheus' text format 0.0.4.

    What counts comes from the database, so that it goes on after a restart.
    """
    database = worker.jobs.database
    counts = {
        row["state"]: row["number"]
        for row in database.all("SELECT state, count(*) AS number FROM job GROUP BY state")
    }
    waiting = sum(counts.get(state, 0) for state in WAITING)
    oldest = database.scalar("SELECT min(created) FROM job WHERE state IN (?, ?)", *WAITING)
    unstored = database.scalar("SELECT min(ended) FROM job WHERE state = ?", State.STORING)
    retries = database.scalar("SELECT count(*) FROM event WHERE state = ?", State.RETRY)
    lines = [
        *_metric("build_info", "gauge", "Version", {f'{{version="{__version__}"}}': 1}),
        *_metric(
            "jobs", "gauge", "Jobs by state",
            {f'{{state="{state}"}}': counts.get(state, 0) for state in State},
        ),
        *_metric("queue_length", "gauge", "Jobs that wait", {"": waiting}),
        *_metric(
            "oldest_waiting_seconds", "gauge", "Age of the oldest job that waits",
            {"": max(0.0, time.time() - oldest) if waiting else 0},
        ),
        *_metric(
            "oldest_unstored_seconds", "gauge", "Age of the oldest result that waits to be stored",
            {"": max(0.0, time.time() - unstored) if unstored else 0},
        ),
        *_metric("retries_total", "counter", "Tries that failed and are repeated", {"": retries}),
        *_metric("orthanc_up", "gauge", "Whether Orthanc answers", {"": bool(worker.status.up)}),
        *_metric(
            "last_poll_timestamp_seconds", "gauge", "When Orthanc last answered",
            {"": worker.status.polled},
        ),
        *_metric("change_cursor", "gauge", "Last change that was read",
                 {"": worker.jobs.cursor() or 0}),
        *_metric("scratch_bytes", "gauge", "Bytes in the scratch folder",
                 {"": worker.work.scratch.used()}),
        *_durations(database),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _durations(database: Database) -> list[str]:
    """Histogram of the seconds that a job took from its start until it was done."""
    # A clock that was set back gives less than nothing, which no sum may hold.
    seconds = "max(0, ended - started)"
    ended = f"FROM job WHERE exit_code = 0 AND ended IS NOT NULL AND {seconds} <= ?"
    values = {
        f'_bucket{{le="{bound}"}}': database.scalar(f"SELECT count(*) {ended}", bound)
        for bound in _BUCKETS
    }
    count = database.scalar(f"SELECT count(*) {ended}", math.inf)
    values['_bucket{le="+Inf"}'] = values["_count"] = count
    values["_sum"] = database.scalar(f"SELECT sum({seconds}) {ended}", math.inf)
    return _metric("job_seconds", "histogram", "Seconds of jobs that were done", values)


def _metric(name: str, kind: str, text: str, values: dict[str, float]) -> list[str]:
    name = f"renalseg_{name}"
    head = [f"# HELP {name} {text}.", f"# TYPE {name} {kind}"]
    return head + [f"{name}{suffix} {value:.15g}" for suffix, value in values.items()]


@contextmanager
def serve(worker: Worker, host: str, port: int) -> Iterator[str]:
    """Answers ``/healthz``, ``/readyz`` and ``/metrics`` from a thread of its own.

    Args:
        worker: Whom it tells of.
        host: Address to listen on.
        port: Port; 0 for any that is free.

    Yields:
        The address.

    Raises:
        ConfigError: It is taken, or none of this machine's.
    """
    pages: dict[str, Callable[[], tuple[int, str]]] = {
        "/healthz": lambda: _said(worker.alive()),
        "/readyz": lambda: _said(worker.ready()),
        "/metrics": lambda: (200, exposition(worker)),
    }
    try:
        server = ThreadingHTTPServer((host, port), _handler(pages))
    except OSError as error:
        raise ConfigError(f"Expected to listen on {host}:{port}: {error}") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _said(good: bool) -> tuple[int, str]:
    return (200, "ok\n") if good else (503, "not now\n")


def _handler(
    pages: dict[str, Callable[[], tuple[int, str]]],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # of one who connects and says nothing

        def do_GET(self) -> None:
            page = pages.get(self.path)
            try:
                status, text = page() if page else (404, "/healthz /readyz /metrics\n")
            except DatabaseError:  # its message is in the log
                status, text = _said(False)
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", _TEXT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
