"""A benchmark as JSON."""

from __future__ import annotations

import json
import types
from dataclasses import asdict, is_dataclass
from typing import Any, cast, get_args, get_origin, get_type_hints

from tools.benchmark.goals import goals_of
from tools.benchmark.results import Benchmark


def to_json(benchmark: Benchmark) -> str:
    """All that was measured, and under `goals` what follows from it."""
    goals = [asdict(goal) for goal in goals_of(benchmark)]
    return json.dumps(asdict(benchmark) | {"goals": goals}, indent=2) + "\n"


def from_json(text: str) -> Benchmark:
    """The benchmark that `to_json` wrote."""
    content = json.loads(text)
    del content["goals"]
    return cast(Benchmark, _build(Benchmark, content))


def _build(kind: Any, value: Any) -> Any:
    """The dataclass, tuple or plain value that a type says, from what JSON holds."""
    if isinstance(kind, types.UnionType):  # of something and None
        (kind,) = (option for option in get_args(kind) if option is not type(None))
        return None if value is None else _build(kind, value)
    if get_origin(kind) is tuple:
        return tuple(_build(get_args(kind)[0], item) for item in value)
    if is_dataclass(kind) and isinstance(kind, type):
        fields = get_type_hints(kind)
        return kind(**{name: _build(fields[name], item) for name, item in value.items()})
    return value
