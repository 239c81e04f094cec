"""A benchmark as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

import msgspec

from tools.benchmark.goals import goals_of
from tools.benchmark.results import Benchmark


def to_json(benchmark: Benchmark) -> str:
    """All that was measured, and under `goals` what follows from it."""
    goals = [asdict(goal) for goal in goals_of(benchmark)]
    return json.dumps(asdict(benchmark) | {"goals": goals}, indent=2) + "\n"


def from_json(text: str) -> Benchmark:
    """The benchmark that `to_json` wrote."""
    return msgspec.json.decode(text, type=Benchmark)
