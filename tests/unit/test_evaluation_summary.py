from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from renalseg.evaluation.bootstrap import Estimate, mean_of, ratio_of
from renalseg.evaluation.plot import draw_summary
from renalseg.evaluation.score_files import CASES_FILE, SUMMARY_FILE, write_scores
from renalseg.evaluation.summary import stratum, summarize
from renalseg.evaluation.terminal import print_summary, text_of
from tests.factories.case_scores import make_score, tumor_free

NAN = math.nan


def test_a_mean_leaves_out_what_is_not_a_number() -> None:
    found = mean_of([0.5, NAN, 0.7])
    assert (found.value, found.cases) == (pytest.approx(0.6), 2)


def test_an_interval_holds_the_mean_and_narrows_with_the_cases() -> None:
    few, many = (mean_of([0.2, 0.4, 0.6, 0.8] * n) for n in (1, 25))
    assert 0.2 <= few.low < many.low < 0.5 < many.high < few.high <= 0.8


def test_an_interval_is_the_same_each_time() -> None:
    assert mean_of([0.1, 0.5, 0.6]) == mean_of([0.1, 0.5, 0.6])


@pytest.mark.parametrize(("values", "expected"), [([], NAN), ([NAN], NAN), ([0.3], 0.3)])
def test_fewer_than_two_cases_have_no_interval(values: list[float], expected: float) -> None:
    found = mean_of(values)
    assert found.value == pytest.approx(expected, nan_ok=True)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_share_is_of_all_things_not_of_cases() -> None:
    found = ratio_of([(1, 1), (0, 3), (2, 4)])
    assert found.value == pytest.approx(3 / 8)
    assert 0 <= found.low < 3 / 8 < found.high <= 1


def test_lesions_are_sorted_by_their_diameter() -> None:
    lesions = ((20.0, 0.0), (20.1, 0.3), (40.0, 0.3), (55.0, 0.0), (71.0, 0.4), (90.0, 0.5))
    summary = summarize([make_score(lesions=lesions), tumor_free()])
    assert [(s.name, s.found, s.lesions) for s in summary.by_size] == [
        ("up to 2 cm", 0, 1),
        ("2 to 4 cm", 2, 2),
        ("4 to 7 cm", 0, 1),
        ("7 to 10 cm", 2, 2),
        ("over 10 cm", 0, 0),
    ]
    assert (summary.lesions.found, summary.lesions.lesions) == (4, 6)


def test_a_stratum_may_be_empty() -> None:
    found = stratum([make_score()], "large", over_mm=70)
    assert (found.lesions, found.found) == (0, 0)
    assert math.isnan(found.sensitivity.value)


def test_false_positives_are_counted_per_scan() -> None:
    summary = summarize([make_score(false_positives=3), tumor_free(), tumor_free("b", 2)])
    assert summary.false_positives.value == pytest.approx(5 / 3)
    assert summary.tumor_free == 2
    assert summary.tumor_free_false_positives.value == pytest.approx(1.0)


def test_kits19_leaves_empty_cases_out_and_kits23_counts_them() -> None:
    summary = summarize([make_score(tumor=0.5), tumor_free()])
    assert (summary.kits19["tumor"].value, summary.kits19["tumor"].cases) == (0.5, 1)
    assert summary.dice["tumor"].value == pytest.approx(0.75)
    assert summary.kits19["composite"].cases == 1


def test_agreement_is_bias_and_limits() -> None:
    volumes = [(12.0, 10.0), (20.0, 20.0), (34.0, 30.0)]
    found = summarize([make_score(tumor_ml=v) for v in volumes]).volumes["tumor"]
    assert found.bias_ml == pytest.approx(2.0)
    assert (found.low_ml, found.high_ml) == pytest.approx((2 - 1.96 * 2, 2 + 1.96 * 2))
    assert found.mean_absolute_ml == pytest.approx(2.0)
    assert found.median_absolute_percent == pytest.approx(100 * 4 / 30)


def test_failures_are_named() -> None:
    scores = [make_score("good"), make_score("bad", tumor=0.09), make_score("none", kidney=0.0)]
    assert [tuple(x) for x in summarize(scores).failures] == [
        ("bad", "tumor", 0.09),
        ("none", "kidney", 0.0),
    ]


def test_an_estimate_is_said_with_its_interval() -> None:
    assert text_of(Estimate(0.8124, 0.7, 0.9, 5), 2) == "0.81 (0.70 to 0.90)"
    assert text_of(Estimate(0.8124, NAN, NAN, 1)) == "0.812"
    assert text_of(Estimate(NAN, NAN, NAN, 0)) == "-"


def test_all_is_saved_and_nothing_is_not_a_number(tmp_path: Path) -> None:
    scores = [make_score("one", tumor=0.6), tumor_free("two")]
    write_scores(tmp_path / "out", scores, summarize(scores))
    with (tmp_path / "out" / CASES_FILE).open() as file:
        first, second = csv.DictReader(file)
    assert (first["case"], first["kits19_tumor_dice"]) == ("one", "0.6000")
    assert (first["tumor_error_ml"], first["lesion_diameters_mm"]) == ("2.0000", "30")
    assert second["kits19_tumor_dice"] == ""
    text = (tmp_path / "out" / SUMMARY_FILE).read_text()
    stored = json.loads(text, parse_constant=pytest.fail)
    assert stored["kits19"]["tumor"] == {"value": 0.6, "low": None, "high": None, "cases": 1}
    assert stored["rules"]["lesion_min_iou"] == 0.1


def test_the_terminal_shows_scores_lesions_and_failures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = [make_score("one", tumor=0.05), make_score("two", tumor=0.75), tumor_free("three", 2)]
    print_summary(summarize(scores))
    shown = capsys.readouterr().out
    for part in ("KiTS23 masses", "over 10 cm", "one: tumor 0.050"):
        assert part in shown
    assert "in the 1 scans without a labeled tumor: 2.00" in shown


@pytest.mark.parametrize(
    "scores",
    [
        [make_score(f"case {i}", tumor=i / 30, lesions=((i * 4.0, 0.5),)) for i in range(1, 30)],
        [make_score()],
        [tumor_free()],
        [tumor_free("a"), tumor_free("b"), tumor_free("c")],
        [make_score("a", math.nan, math.nan), make_score("b", lesions=((120.0, 0.0),))],
    ],
    ids=["many", "one", "tumor-free", "tumor-free ones", "one size"],
)
def test_the_picture_has_three_panels(scores: list) -> None:
    figure = draw_summary(scores, summarize(scores))
    figure.canvas.draw()
    overlap, volume, found = (axes.get_title() for axes in figure.axes)
    assert (overlap, volume) == ("Overlap of each case", "Tumor volume (Bland-Altman)")
    assert found.startswith("Tumors found; 0.00 false positives per scan")
