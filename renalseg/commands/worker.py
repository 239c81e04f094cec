"""The subcommand `renalseg worker`."""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.errors import ConfigError, RetryableError
from renalseg.runtime import log
from renalseg.runtime.harmless import one_line

if TYPE_CHECKING:
    from renalseg.worker.http import Access
    from renalseg.worker.jobs import Jobs
    from renalseg.worker.rules import Rule
    from renalseg.worker.server import Feed, Server

FOLDER_VARIABLE = "RENALSEG_WORKER"
DATABASE = "jobs.db"
_GIB = 1 << 30
_DAY = 86400.0
_PAUSE_SECONDS = 2.0
_LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def add_worker_command(commands: Any) -> None:
    """Adds `worker` to the subcommands of a parser."""
    worker: argparse.ArgumentParser = commands.add_parser(
        "worker", help="segment what arrives in an archive, and store the results there"
    )
    add = worker.add_argument
    add("--orthanc", metavar="URL", default=os.environ.get("RENALSEG_ORTHANC_URL"),
        help="address of an Orthanc server (or RENALSEG_ORTHANC_URL)")  # fmt: skip
    add("--dicomweb", metavar="URL", default=os.environ.get("RENALSEG_DICOMWEB_URL"),
        help="or of a DICOMweb server (or RENALSEG_DICOMWEB_URL)")  # fmt: skip
    add_folder(worker)
    add("--interval", type=_positive, default=5, metavar="S", help="seconds between polls (5)")
    add("--listen", type=_address, default="127.0.0.1:9131", metavar="HOST:PORT",
        help="for a page, /healthz, /readyz and /metrics (127.0.0.1:9131)")  # fmt: skip
    add("--grace", type=_positive, default=20, metavar="S",
        help="seconds for running jobs when it is stopped (20)")  # fmt: skip
    add("-v", "--verbose", action="store_true", help="log more, and show tracebacks")
    add("--log-json", action="store_true", help=f"log as JSON (or {log.VARIABLE}=json)")
    _add_rule(worker)
    _add_task(worker)
    worker.set_defaults(action=_worker)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Adds the option that says where the worker keeps its database."""
    parser.add_argument(
        "--folder", type=Path, default=default_folder(), metavar="DIR",
        help=f"where the worker keeps its jobs (or {FOLDER_VARIABLE}; ~/.local/state/renalseg)",
    )  # fmt: skip


def default_folder() -> Path:
    """Returns the default folder of the worker's database."""
    given = os.environ.get(FOLDER_VARIABLE)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(given) if given else Path(state) / "renalseg"


def _add_rule(worker: argparse.ArgumentParser) -> None:
    add = worker.add_argument_group("which series").add_argument
    add(
        "--min-slices", type=int, default=20, metavar="N", help="minimum of slices in a series (20)"
    )
    add("--description", metavar="REGEX", help="found in SeriesDescription")
    add("--body-part", metavar="REGEX", help="found in BodyPartExamined")
    add("--sender", metavar="REGEX", help="found in the AE title of the sender")
    add("--backlog", action="store_true", help="at the first start, include existing series")
    add("--settle", type=_positive, default=300, metavar="S",
        help="ask about a series after this silence; longer than Orthanc's StableAge (300)",
    )  # fmt: skip
    add("--days", type=int, default=2, metavar="N",
        help="with --dicomweb: how many days back by StudyDate to look for new series (2)",
    )  # fmt: skip


def _add_task(worker: argparse.ArgumentParser) -> None:
    add = worker.add_argument_group("processing").add_argument
    add("--command", metavar="TEXT", help="program that gets {input} and {output} (renalseg run)")
    add("--device", default=os.environ.get("RENALSEG_DEVICE") or "auto", metavar="D",
        help="auto, cpu, cuda:<n>, or several GPUs: cuda:0,cuda:1 (auto)")  # fmt: skip
    add("--jobs", type=int, default=1, metavar="N", help="concurrent jobs, with --device cpu (1)")
    add("--timeout", type=_positive, default=3600, metavar="S", help="seconds for a job (3600)")
    add("--tries", type=int, default=6, metavar="N", help="tries before a job is dead (6)")
    add("--retry-after", type=_positive, default=30, metavar="S",
        help="seconds before the second try; they double each time (30)")  # fmt: skip
    add("--scratch", type=Path, metavar="DIR", help="for files of running jobs (--folder)")
    add("--scratch-gib", type=_positive, default=8, metavar="N", help="GiB of them at most (8)")
    add("--store-days", type=_positive, default=7, metavar="N",
        help="days in which computed results are stored and sent (7)")  # fmt: skip
    add("--forward", action="append", default=[], metavar="NAME",
        help="also send results to a modality of Orthanc (C-STORE), or dicomweb:NAME (STOW-RS)",
    )  # fmt: skip
    switch: dict[str, Any] = {"action": argparse.BooleanOptionalAction, "default": True}
    add("--compare", **switch,
        help="compare each result with the one before it of the same patient (the default)",
    )  # fmt: skip
    add("--corrections", **switch,
        help="measure segmentations that a person edited in a viewer (the default)")  # fmt: skip
    add("--delete-superseded", action="store_true",
        help="delete own results in Orthanc once results from more slices exist")  # fmt: skip


def devices(names: str, jobs: int) -> list[str]:
    """Returns the device of each concurrent job.

    Args:
        names: "auto", "cpu", or GPUs with commas between them.
        jobs: Number of concurrent jobs; a GPU runs one.

    Raises:
        ConfigError: More than one job is requested on a device other than the CPU.
    """
    found = [name.strip() for name in names.split(",") if name.strip()]
    if jobs < 1 or not found or len(found) != len(set(found)):
        raise ConfigError(f"Expected devices and a number of jobs, got {names!r} and {jobs}")
    if jobs > 1 and found != ["cpu"]:
        raise ConfigError(f"Expected --device cpu for several jobs at once, got {names}")
    return found * jobs


def _worker(options: argparse.Namespace) -> None:
    os.umask(0o077)  # patient files are private
    _start_log(options)
    # Imported here, so that `renalseg --help` is quick.
    from renalseg.worker.locks import only_worker
    from renalseg.worker.metrics import serve

    with only_worker(options.folder / DATABASE):
        worker = _build(options)
        with worker.work.scratch.only():
            worker.listen()
            with suppress(RetryableError):  # Orthanc may start later; a wrong password stays wrong
                server = worker.work.server
                _log().info("%s %s", server.name, server.check())
            with serve(worker, *options.listen) as address:
                _log().info("health and metrics: %s", address)
                worker.run()
    _log().info("stopped")


def _start_log(options: argparse.Namespace) -> None:
    """Starts the log: the worker's lines and library warnings, as text or JSON."""
    level = logging.DEBUG if options.verbose else logging.INFO
    lines = logging.StreamHandler()
    lines.setFormatter(_OneLine(_LOG_FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    log.start(as_json=options.log_json)
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.NOTSET)  # the loggers decide
    _log().setLevel(level)
    # It warns at every retry; the worker reports once that Orthanc is unavailable.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


class _OneLine(logging.Formatter):
    """Formats records on one line, so that no value from a header or Orthanc can forge another."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(map(one_line, super().formatException(ei).splitlines()))


def _build(options: argparse.Namespace) -> Any:
    from renalseg.worker.job import Backoff
    from renalseg.worker.jobs import Jobs
    from renalseg.worker.loop import Stop, Worker
    from renalseg.worker.rules import Rule
    from renalseg.worker.scratch import Scratch
    from renalseg.worker.task import COMPARE, DEFAULT_COMMAND, Task
    from renalseg.worker.work import Work

    slots = devices(options.device, options.jobs)
    rule = Rule(options.min_slices, options.description, options.body_part, options.sender)
    task = Task(
        command=Task.parse(options.command or DEFAULT_COMMAND),
        timeout=options.timeout,
        forward=tuple(options.forward),
        delete_superseded=options.delete_superseded,
        compare=COMPARE if options.compare else (),
    )
    backoff = Backoff(
        first=options.retry_after, tries=options.tries, store=options.store_days * _DAY
    )
    jobs = _open(partial(Jobs, options.folder / DATABASE, backoff))
    scratch = Scratch(
        options.scratch or options.folder, int(options.scratch_gib * _GIB), len(slots)
    )
    stop = Stop(options.grace)
    server, feed = _archive(options, jobs, rule)
    work = Work(server, jobs, scratch, task, give_up=stop.now)
    return Worker(feed, work, jobs, slots, stop, options.interval)


def _archive(options: argparse.Namespace, jobs: Jobs, rule: Rule) -> tuple[Server, Feed]:
    """The archive that the options name, and what is new in it.

    Raises:
        ConfigError: They name none or two, or ask of DICOMweb what only Orthanc does.
    """
    from renalseg.worker.dicomweb.client import DicomWeb
    from renalseg.worker.dicomweb.feed import Feed as DicomWebFeed
    from renalseg.worker.http import DICOMWEB, Access, Connection
    from renalseg.worker.orthanc.client import Orthanc
    from renalseg.worker.orthanc.feed import Feed as OrthancFeed

    if bool(options.orthanc) == bool(options.dicomweb):
        raise ConfigError(
            "Expected --orthanc URL or --dicomweb URL (or RENALSEG_ORTHANC_URL, "
            "RENALSEG_DICOMWEB_URL), and not both"
        )
    common = {"settle": options.settle, "backlog": options.backlog}
    if options.orthanc:
        connection = Connection(options.orthanc, os.environ)
        _warn_if_exposed(connection.access)
        orthanc = Orthanc(connection)
        feed = OrthancFeed(orthanc, jobs, rule, corrections=options.corrections, **common)
        return orthanc, feed
    if options.sender or options.forward or options.delete_superseded:
        raise ConfigError(
            "Expected no --sender, --forward and --delete-superseded with --dicomweb: rules of "
            "the archive do that"
        )
    access = Access.of(options.dicomweb, os.environ, DICOMWEB)
    _warn_if_exposed(access)
    server = DicomWeb(access)
    return server, DicomWebFeed(server, jobs, rule, days=options.days, **common)


def _warn_if_exposed(access: Access) -> None:
    if access.exposed:
        _log().warning("the password goes to %s unencrypted: use https", access.url)


def _open(make: Callable[[], Jobs]) -> Jobs:
    """Opens the database, waiting until that is possible."""
    from renalseg.worker.database import DatabaseError
    from renalseg.worker.http import Trouble
    from renalseg.worker.work import DATABASE as NAME

    trouble = Trouble()
    while True:
        try:
            jobs = make()
        except DatabaseError as error:
            trouble.begins(NAME, error)
            time.sleep(_PAUSE_SECONDS)
        else:
            trouble.is_over(NAME)
            return jobs


def _log() -> logging.Logger:
    """Returns the logger of the worker's package, whose level this command sets."""
    return logging.getLogger("renalseg.worker")


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected more than 0, got {text}")
    return value


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {text!r}")
    return host, int(port)
