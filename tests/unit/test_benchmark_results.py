from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest

from renalseg.settings import DEFAULT_METHOD
from tests.factories.benchmarks import WINDOWS, benchmark, job, result
from tools.benchmark.goals import Goal, goals_of
from tools.benchmark.plot import draw_growth, save_growth
from tools.benchmark.report import WIDTH, from_json, make_console, print_report, to_json
from tools.benchmark.results import Benchmark


def goal(measured: Benchmark, word: str) -> Goal:
    (found,) = (goal for goal in goals_of(measured) if word in goal.text)
    return found


def printed(measured: Benchmark) -> str:
    file = io.StringIO()
    print_report(measured, make_console(file))
    return file.getvalue()


def test_seconds_of_networks_are_those_of_all_inputs() -> None:
    measured = result()
    assert measured.network_seconds == 3.0
    assert measured.eager_seconds == 4 * 2.0 + 2 * 1.0
    assert measured.flops == 4 * 1e9 + 2 * 2e9
    assert measured.rest_seconds == 4.5 - 3.0
    assert measured.graph_rest_seconds == 6.0 - 3.0


def test_the_bound_is_the_operations_at_the_rate_of_a_matrix_product() -> None:
    measured = benchmark()
    assert measured.bound_seconds(measured.methods[0]) == 8e9 / 2e9


def test_without_references_there_is_no_bound() -> None:
    windows = tuple(dataclasses.replace(w, eager_seconds=None, flops=None) for w in WINDOWS)
    bare = dataclasses.replace(result(), windows=windows)
    assert bare.eager_seconds is None
    assert benchmark(bare).bound_seconds(bare) is None


def test_nnunet_and_the_transforms_are_extrapolated_from_their_parts() -> None:
    measured = benchmark()
    assert measured.nnunet is not None
    assert measured.nnunet.seconds == 3600.0
    assert measured.stock is not None
    assert measured.stock.rest_seconds == 6.0
    assert measured.stock.total_seconds == 16.0


@pytest.mark.parametrize(
    ("seconds", "word", "value", "met"),
    [
        (4.5, "default method: whole job <=", 4.5, True),
        (8.1, "default method: whole job <=", 8.1, False),
        (6.5, "stretch", 6.5, False),
        (4.5, "(a)", 10 / 3, False),
        (5.0, "(b)", 1.25, True),
        (5.9, "(b)", 5.9 / 4, True),  # within 2 s of the bound
        (6.1, "(b)", 6.1 / 4, False),
        (5.0, "whole job - networks", 2.0, True),
        (5.1, "whole job - networks", 2.1, False),
        (4.5, "application", 3.0, True),
        (4.5, "(c)", 100.0, True),
        (4.6, "(c)", 450 / 4.6, False),
        (4.5, "peak", 1.0, True),
    ],
)
def test_goals(seconds: float, word: str, value: float, met: bool) -> None:
    found = goal(benchmark(result(whole=job(seconds))), word)
    assert found.value == pytest.approx(value)
    assert found.met is met


def test_more_than_two_and_a_half_gib_misses_the_goal() -> None:
    assert not goal(benchmark(result(whole=job(4.5, peak_mib=2561))), "peak").met


def test_goals_are_of_the_reference_size_alone_and_of_what_was_measured() -> None:
    measured = benchmark(result(slices=50), result("mrb"))
    assert {goal.method for goal in goals_of(measured)} == {"mrb"}
    assert not any("default" in goal.text for goal in goals_of(measured))
    bare = dataclasses.replace(measured, nnunet=None, matmul_flops_per_s=None)
    assert not any(name in goal.text for goal in goals_of(bare) for name in ("(b)", "(c)"))


@pytest.mark.parametrize("parts", [{}, {"nnunet": None, "stock": None, "matmul_flops_per_s": None}])
def test_json_gives_the_same_benchmark_back(parts: dict[str, None]) -> None:
    measured = dataclasses.replace(benchmark(result(), result("mrb", 50)), **parts)  # type: ignore[arg-type]
    assert from_json(to_json(measured)) == measured


def test_json_says_which_goals_are_met() -> None:
    goals = json.loads(to_json(benchmark()))["goals"]
    assert [goal["met"] for goal in goals if goal["text"].startswith("(a)")] == [False]


def test_the_report_fits_its_width_with_all_methods_and_names_all_parts() -> None:
    names = (DEFAULT_METHOD, "sehdc", "convlstm", "mrb", "msvnet", "resvnet")
    text = printed(benchmark(*(result(name, whole=job(123.45)) for name in names)))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "…" not in text
    words = (
        *names,
        f"{DEFAULT_METHOD}, app",
        "bound",
        "(c) nnU-Net 2.0",
        "450 s",
        "45 tiles",
        "extrapolated",
    )
    for word in (
        *words,
        "extrapolated",
        "16.0 s, 6.0 s",
        "2.5 s per study, 1440 an hour",
        "something is not measured",
        "✓",
        "✗",
    ):
        assert word in " ".join(text.split())


def test_the_report_of_a_quick_look_has_no_references() -> None:
    quick = dataclasses.replace(
        benchmark(), nnunet=None, stock=None, throughput=None, matmul_flops_per_s=None
    )
    text = printed(quick)
    assert "whole job" in text
    assert not any(word in text for word in ("bound", "nnU-Net", "MONAI's", "an hour"))


def test_the_picture_has_a_curve_for_each_method_over_the_slices() -> None:
    few, many = result(slices=50, whole=job(2.0, peak_mib=500)), result(slices=200)
    figure = draw_growth(benchmark(many, few, result("mrb")))
    seconds, memory = figure.axes
    assert [line.get_label() for line in seconds.lines] == [DEFAULT_METHOD, "mrb"]
    assert seconds.lines[0].get_xydata().tolist() == [[50, 2.0], [200, 4.5]]
    assert memory.lines[0].get_xydata().tolist() == [[50, 500], [200, 1024]]
    assert memory.lines[1].get_xydata().tolist() == [[200, 1024]]


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_the_picture_is_what_its_name_says(name: str, start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "new" / name
    save_growth(benchmark(), path)
    assert path.read_bytes().startswith(start)
