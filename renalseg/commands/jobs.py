"""The subcommand `renalseg jobs`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.commands.worker import DATABASE, add_folder, default_folder
from renalseg.errors import ConfigError, InputError
from renalseg.runtime.harmless import one_line
from renalseg.worker.job import UNFINISHED, Job, State

if TYPE_CHECKING:
    from renalseg.worker.jobs import Jobs

_STYLES = {
    State.DONE: "green", State.DEAD: "red", State.REFUSED: "yellow", State.RUNNING: "cyan",
    State.STORING: "magenta", State.FORWARDING: "magenta",
}  # fmt: skip
_LIMIT = 50


def add_jobs_command(commands: Any) -> None:
    """Adds `jobs` to the subcommands of a parser."""
    jobs: argparse.ArgumentParser = commands.add_parser(
        "jobs", help="list, show, retry, count and back up the jobs of a worker"
    )
    # What `renalseg jobs` alone does.
    jobs.set_defaults(action=_list, limit=_LIMIT, state=None, json=False, verbose=False)
    jobs.set_defaults(folder=default_folder())
    actions = jobs.add_subparsers(metavar="ACTION")
    listing = actions.add_parser("list", help="the newest jobs")
    listing.add_argument("--limit", type=int, default=_LIMIT, metavar="N", help=f"({_LIMIT})")
    listing.set_defaults(action=_list)
    show = actions.add_parser("show", help="one job with its history")
    show.add_argument("job", type=int)
    show.set_defaults(action=_show)
    retry = actions.add_parser("retry", help="queue jobs again")
    retry.add_argument("job", type=int, nargs="*")
    retry.set_defaults(action=_retry)
    count = actions.add_parser("count", help="how many there are in each state")
    count.set_defaults(action=_count)
    backup = actions.add_parser("backup", help="copy them to a file while the worker runs")
    backup.add_argument("file", type=Path, metavar="FILE")
    backup.set_defaults(action=_backup)
    for command in (listing, retry):
        command.add_argument("--state", choices=[str(state) for state in State], help="all of it")
    for command in (listing, show, count):
        command.add_argument("--json", action="store_true", help="for programs")
    for command in (listing, show, retry, count, backup):
        add_folder(command)
        command.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")


def _with_jobs(
    action: Callable[[Jobs, argparse.Namespace], None],
) -> Callable[[argparse.Namespace], None]:
    """Opens the database that the options name; never creates one."""

    @wraps(action)
    def run(options: argparse.Namespace) -> None:
        from renalseg.worker.jobs import Jobs

        path = options.folder / DATABASE
        if not path.is_file():
            raise ConfigError(f"Expected the database of a worker, found none at {path}")
        jobs = Jobs(path)
        try:
            action(jobs, options)
        finally:
            jobs.database.close()

    return run


@_with_jobs
def _list(jobs: Jobs, options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    state = State(options.state) if options.state else None
    found = jobs.newest(state, options.limit)
    if options.json:
        _write_json([asdict(job) for job in found])
        return
    table = Table("job", "state", "after", "tries", "slices", "created", "seconds", "series", "")
    for job in found:
        table.add_row(
            str(job.id), f"[{_STYLES.get(job.state, 'default')}]{job.state}", job.step,
            str(job.tries), str(job.slices), _time(job.created), _seconds(job), job.series,
            _escape(job.message),
        )  # fmt: skip
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(table)


@_with_jobs
def _show(jobs: Jobs, options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    job = jobs.get(options.job)
    events = jobs.events(job.id)
    if options.json:
        named = [dict(zip(("at", "state", "message"), event, strict=True)) for event in events]
        _write_json({**asdict(job), "events": named})
        return
    console = Console(highlight=False, soft_wrap=True)
    for name, value in asdict(job).items():
        if value not in (None, "", ()):
            text = _time(value) if name in ("created", "due", "started", "ended") else value
            console.print(one_line(f"{name:>14}  {text}"), markup=False)
    table = Table("when", "state", "")
    for at, state, message in events:
        table.add_row(_time(at), state, _escape(message))
    console.print(table)


@_with_jobs
def _retry(jobs: Jobs, options: argparse.Namespace) -> None:
    from rich.console import Console

    if bool(options.job) == bool(options.state):
        raise InputError("Expected numbers of jobs, or --state with those to retry")
    chosen = options.job or [job.id for job in jobs.newest(State(options.state))]
    for number in chosen:
        jobs.retry(number)
    Console(highlight=False).print(f"{len(chosen)} queued")


@_with_jobs
def _count(jobs: Jobs, options: argparse.Namespace) -> None:
    counts = jobs.counts()
    if options.json:
        _write_json({state: counts.get(state, 0) for state in State})
        return
    lines = [f"{state} {counts[state]}" for state in State if state in counts]
    print(*lines, _sum(counts), sep="\n")


@_with_jobs
def _backup(jobs: Jobs, options: argparse.Namespace) -> None:
    from renalseg.worker.jobs import Jobs

    refused = f"Expected a place for a backup at {options.file}"
    if options.file.resolve() == (options.folder / DATABASE).resolve():
        raise ConfigError(f"{refused}, found the database itself")
    try:
        jobs.database.copy(options.file)
    except OSError as error:
        raise ConfigError(f"{refused}: {error}") from error
    copy = Jobs(options.file)
    try:
        print(one_line(f"{options.file}: {_sum(copy.counts())}"))
    finally:
        copy.database.close()


def _sum(counts: Mapping[str, int]) -> str:
    unfinished = sum(counts.get(state, 0) for state in UNFINISHED)
    return f"{sum(counts.values())} jobs, {unfinished} unfinished"


def _write_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def _seconds(job: Job) -> str:
    if job.started is None or job.ended is None:
        return ""
    return f"{job.ended - job.started:.0f}"


def _escape(text: str | None) -> str:
    from rich.markup import escape

    return escape(one_line(text or ""))
