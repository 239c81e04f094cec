"""The project's goals on a CT of 512 x 512 x 200, and whether they are met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from renalseg.settings import DEFAULT_METHOD
from tools.benchmark.results import Benchmark, MethodResult

EAGER_RATIO = 3.5
BOUND_RATIO, BOUND_SECONDS = 1.25, 2.0  # either
REST_SECONDS, GRAPH_REST_SECONDS = 2.0, 4.0
NNUNET_RATIO = 100.0
PEAK_MIB = 2560.0
DEFAULT_SECONDS = (8.0, 6.0)  # goal and stretch goal


@dataclass(frozen=True)
class Goal:
    """One goal, for one method.

    Attributes:
        text: The goal in words.
        method: Name of the method.
        value: What was measured.
        unit: "x", "s" or "GiB".
        met: Whether the goal is met.
    """

    text: str
    method: str
    value: float
    unit: str
    met: bool


def goals_of(benchmark: Benchmark) -> list[Goal]:
    """The goals of the methods, as far as they were measured."""
    results = benchmark.of_size(benchmark.reference_slices)
    return [goal for result in results for goal in _goals(benchmark, result)]


def _goals(benchmark: Benchmark, result: MethodResult) -> Iterator[Goal]:
    def at_most(text: str, value: float, limit: float, unit: str = "s") -> Goal:
        return Goal(f"{text} <= {limit:g} {unit}", result.method, value, unit, value <= limit)

    def at_least(text: str, value: float, limit: float) -> Goal:
        return Goal(f"{text} >= {limit:g}x", result.method, value, "x", value >= limit)

    job = result.job.seconds
    if result.method == DEFAULT_METHOD:
        for name, limit in zip(("", ", stretch"), DEFAULT_SECONDS, strict=True):
            yield at_most(f"default method: whole job{name}", job, limit)
    if (eager := result.eager_seconds) is not None:
        yield at_least(
            "(a) networks in torch / networks", eager / result.network_seconds, EAGER_RATIO
        )
    if bound := benchmark.bound_seconds(result):
        text = f"(b) whole job / bound <= {BOUND_RATIO}x, or + {BOUND_SECONDS:g} s"
        met = job <= max(BOUND_RATIO * bound, bound + BOUND_SECONDS)
        yield Goal(text, result.method, job / bound, "x", met)
    yield at_most("whole job - networks", result.rest_seconds, REST_SECONDS)
    if (rest := result.graph_rest_seconds) is not None:
        yield at_most("application - networks", rest, GRAPH_REST_SECONDS)
    if benchmark.nnunet is not None:
        ratio = benchmark.nnunet.unmirrored_seconds / job
        yield at_least("(c) nnU-Net, not mirroring / whole job", ratio, NNUNET_RATIO)
    yield at_most("peak memory", result.job.peak_mib / 1024, PEAK_MIB / 1024, "GiB")
