"""Monitoring of the worker: health, readiness, and metrics for Prometheus."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from renalseg import __version__
from renalseg.errors import ConfigError
from renalseg.worker.database import Database, DatabaseError
from renalseg.worker.job import DELIVERING, WAITING, State
from renalseg.worker.loop import Worker
from renalseg.worker.status import page

_HTML = "text/html; charset=utf-8"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_BUCKETS = (10, 30, 60, 120, 300, 600, 1800, 3600)  # seconds


class _Metrics(Collector):
    """Reads the metrics when they are requested.

    Counters come from the database, so they continue after a restart.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def collect(self) -> Iterator[Metric]:
        worker, database = self.worker, self.worker.jobs.database
        counts = worker.jobs.counts()
        version = GaugeMetricFamily("renalseg_build_info", "Version.", labels=["version"])
        version.add_metric([__version__], 1)
        jobs = GaugeMetricFamily("renalseg_jobs", "Jobs by state.", labels=["state"])
        for state in State:
            jobs.add_metric([state], counts.get(state, 0))
        yield from (version, jobs, _durations(database))
        oldest = database.scalar("SELECT min(created) FROM job WHERE state IN (?, ?)", *WAITING)
        unstored, unsent = (
            database.scalar("SELECT min(ended) FROM job WHERE state = ?", state)
            for state in DELIVERING
        )
        for name, text, value in (
            ("queue_length", "Jobs waiting", sum(counts.get(state, 0) for state in WAITING)),
            ("oldest_waiting_seconds", "Age of the oldest waiting job", _age(oldest)),
            (
                "oldest_unstored_seconds",
                "Age of the oldest result waiting to be stored",
                _age(unstored),
            ),
            (
                "oldest_unforwarded_seconds",
                "Age of the oldest result waiting to be sent to a target",
                _age(unsent),
            ),
            ("orthanc_up", "Whether the archive answers", bool(worker.status.up)),
            ("last_poll_timestamp_seconds", "When the archive last answered", worker.status.polled),
            ("change_cursor", "Last change that was read", worker.jobs.cursor() or 0),
            ("scratch_bytes", "Bytes in the scratch folder", worker.work.scratch.used()),
        ):
            yield GaugeMetricFamily(f"renalseg_{name}", f"{text}.", value)
        retries = database.scalar("SELECT count(*) FROM event WHERE state = ?", State.RETRY)
        text = "Failed tries that are repeated."
        yield CounterMetricFamily("renalseg_retries", text, retries)


def exposition(worker: Worker) -> str:
    """All metrics, in Prometheus' text format 0.0.4."""
    return generate_latest(_Metrics(worker)).decode()


def _durations(database: Database) -> HistogramMetricFamily:
    """Histogram of the seconds that a job took from its start until it was done."""
    # A clock that was set back gives negative seconds, which no sum may hold.
    seconds = "max(0, ended - started)"
    ended = f"FROM job WHERE exit_code = 0 AND ended IS NOT NULL AND {seconds} <= ?"
    bounds = {**{str(bound): float(bound) for bound in _BUCKETS}, "+Inf": math.inf}
    return HistogramMetricFamily(
        "renalseg_job_seconds",
        "Seconds of jobs that were done.",
        buckets=[
            (name, database.scalar(f"SELECT count(*) {ended}", bound))
            for name, bound in bounds.items()
        ],
        sum_value=database.scalar(f"SELECT sum({seconds}) {ended}", math.inf) or 0.0,
    )


def _age(since: float | None) -> float:
    return max(0.0, time.time() - since) if since else 0.0


@contextmanager
def serve(worker: Worker, host: str, port: int) -> Iterator[str]:
    """Answers ``/``, ``/healthz``, ``/readyz`` and ``/metrics`` from a separate thread.

    Args:
        worker: The worker it reports on.
        host: Address to listen on.
        port: Port; 0 for any free one.

    Yields:
        The address.

    Raises:
        ConfigError: The address is in use, or does not belong to this machine.
    """
    pages: dict[str, Callable[[], tuple[int, str]]] = {
        "/": lambda: (200, page(worker)),
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
        timeout = 10  # for clients that connect and send nothing

        def do_GET(self) -> None:
            find = pages.get(self.path)
            try:
                status, text = find() if find else (404, f"{' '.join(pages)}\n")
            except DatabaseError:  # its message is in the log
                status, text = _said(False)
            body = text.encode()
            self.send_response(status)
            html = text.startswith("<")
            self.send_header("Content-Type", _HTML if html else CONTENT_TYPE_PLAIN_0_0_4)
            self.send_header("Content-Security-Policy", _POLICY)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
