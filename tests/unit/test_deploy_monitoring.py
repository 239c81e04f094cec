"""Alerts, dashboard and unit file against what the worker offers."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path

import pytest

from renalseg.commands.main import _parser
from renalseg.worker.http import Connection
from renalseg.worker.jobs import Jobs
from renalseg.worker.loop import Stop, Worker
from renalseg.worker.metrics import exposition
from renalseg.worker.orthanc.client import Orthanc
from renalseg.worker.orthanc.feed import Feed
from renalseg.worker.rules import Rule
from renalseg.worker.scratch import Scratch
from renalseg.worker.work import Task, Work
from tests.factories.deployment import DEPLOY, load


@pytest.fixture
def offered(tmp_path: Path) -> str:
    """The metrics of a worker that has done nothing."""
    orthanc, jobs = Orthanc(Connection("http://127.0.0.1:1")), Jobs(tmp_path / "jobs.db")
    scratch = Scratch(tmp_path, 1 << 20, 1)
    (tmp_path / "scratch").mkdir()
    work = Work(orthanc, jobs, scratch, Task(("none",)))
    return exposition(Worker(Feed(orthanc, jobs, Rule()), work, jobs, ["cpu"], Stop(1)))


@pytest.mark.parametrize("name", ["prometheus/alerts.yaml", "grafana/renalseg.json"])
def test_metrics_that_are_asked_for_are_offered(name: str, offered: str) -> None:
    text = json.dumps(load(name))
    asked = set(re.findall(r"renalseg_[a-z_]+", text))
    there = set(re.findall(r"^renalseg_[a-z_]+", offered, re.MULTILINE))
    assert asked
    assert asked <= there
    states = set(re.findall(r'state=\\"(\w+)\\"', text))
    assert states <= set(re.findall(r'state="(\w+)"', offered))


def test_alerts_have_what_prometheus_wants() -> None:
    (group,) = load("prometheus/alerts.yaml")["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(names) == len(set(names)) > 5
    for rule in group["rules"]:
        assert {"alert", "expr", "labels", "annotations"} <= set(rule)
        assert rule["annotations"]["summary"]


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in load("grafana/renalseg.json")["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_unit_starts_the_worker_and_waits_for_its_grace() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "systemd" / "renalseg-worker.service")
    service = unit["Service"]
    program, *options = service["ExecStart"].split()
    assert program.endswith("/bin/renalseg")
    running = _parser().parse_args(options)
    assert int(service["TimeoutStopSec"]) > running.grace
    assert service["DynamicUser"] == "yes"
    assert service["RestartPreventExitStatus"] == "2"
