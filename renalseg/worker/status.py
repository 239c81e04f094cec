"""A page on what the worker does, for people: read-only HTML without patient data.

It names jobs by their numbers alone, and says of one that is done neither what was found nor in
whom: `renalseg jobs show` says more to those who may read the database.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from html import escape

from renalseg import __version__
from renalseg.runtime.harmless import one_line
from renalseg.runtime.privacy import redact
from renalseg.worker.job import DELIVERING, Job, State
from renalseg.worker.loop import Worker

_LAST = 50
_STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ccc}.bad{color:#b00}"
)
_BAD = (State.DEAD, State.REFUSED, State.RETRY)
_COLUMNS = ("job", "state", "after", "tries", "slices", "received", "seconds", "reason")
_ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")  # a hash of the patient's ID and of UIDs


def page(worker: Worker) -> str:
    """The page as HTML."""
    up, counts = worker.status.up, worker.jobs.counts()
    last = worker.jobs.newest(limit=_LAST)
    facts = [
        (worker.work.server.name, "answers" if up else "does not answer"),
        ("last answer", _time(worker.status.polled)),
        *((state.value, str(counts.get(state, 0))) for state in State),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta http-equiv="refresh" content="30"><title>RenalSeg worker</title>'
        f"<style>{_STYLE}</style><h1>RenalSeg worker {escape(__version__)}</h1>"
        f"<table>{''.join(map(_row, facts))}</table><h2>Last {_LAST} jobs</h2>"
        f"<table>{_row(_COLUMNS, 'th')}{''.join(map(_job, last))}</table></html>\n"
    )


def _job(job: Job) -> str:
    seconds = "" if job.started is None or job.ended is None else f"{job.ended - job.started:.0f}"
    tries = job.tries if job.state not in DELIVERING else job.deliveries
    cells = (
        *(str(job.id), job.state, job.step, str(tries), str(job.slices)),
        *(_time(job.created), seconds, "" if job.state == State.DONE else _reason(job.message)),
    )
    return _row(cells, bad=job.state in _BAD)


def _reason(message: str | None) -> str:
    return _ORTHANC_ID.sub("[id]", redact(one_line(message or "")))


def _row(cells: Iterable[str], kind: str = "td", bad: bool = False) -> str:
    inner = "".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in cells)
    return f"<tr{' class=bad' if bad else ''}>{inner}</tr>"


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "never"
