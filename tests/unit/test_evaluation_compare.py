from __future__ import annotations

import math

import numpy as np
import pytest

from renalseg.evaluation.bootstrap import difference_of_means, difference_of_ratios
from renalseg.evaluation.compare import FALSE, FOUND, KIDNEY, TUMOR, compare
from renalseg.evaluation.comparison_plot import draw_comparison
from renalseg.evaluation.terminal import print_comparison
from tests.factories.case_scores import make_score, tumor_free

NAN = math.nan


def test_a_difference_is_of_the_cases_that_both_have() -> None:
    found = difference_of_means([(0.5, 0.7), (0.6, 0.6), (NAN, 0.9), (0.1, NAN)])
    assert (found.first, found.second, found.cases) == pytest.approx((0.55, 0.65, 2))
    assert found.value == pytest.approx(0.1)


def test_equal_methods_do_not_differ() -> None:
    found = difference_of_means([(x, x) for x in np.linspace(0, 1, 30)])
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_a_steady_gain_is_found_though_the_cases_vary_more() -> None:
    cases = np.random.default_rng(0).uniform(0.2, 0.8, 30)
    found = difference_of_means([(x, x + 0.05 + 0.01 * (i % 3)) for i, x in enumerate(cases)])
    assert found.low > 0.05
    assert found.p == pytest.approx(2 / 2001)


def test_chance_is_not_taken_for_a_gain() -> None:
    """Of many comparisons of equal methods, about one in twenty has p below 0.05."""
    generator = np.random.default_rng(1)
    draws = generator.normal(0.5, 0.1, (100, 40, 2))
    below = sum(difference_of_means([tuple(pair) for pair in draw]).p < 0.05 for draw in draws)
    assert 1 <= below <= 12


@pytest.mark.parametrize(("cases", "least"), [(2, 0.5), (4, 0.125)])
def test_few_cases_prove_little(cases: int, least: float) -> None:
    assert difference_of_means([(0.1 * i, 0.1 * i + 0.3) for i in range(cases)]).p == least


def test_a_share_is_of_all_lesions_and_one_case_has_no_interval() -> None:
    found = difference_of_ratios([(1, 3, 4)])
    assert (found.first, found.second, found.value) == (0.25, 0.75, 0.5)
    assert math.isnan(found.low)
    assert math.isnan(found.p)
    assert difference_of_ratios([]).cases == 0


def test_methods_are_compared_by_case() -> None:
    first = [make_score("a", 0.9, 0.5), make_score("b", 0.8, 0.0, lesions=[(30, 0.0)])]
    second = [make_score("b", 0.9, 0.6), make_score("a", 0.9, 0.5, false_positives=2)]
    found = compare("x", [*first, tumor_free("f")], "y", [*second, tumor_free("f", 1)])
    assert [pair.case for pair in found.pairs] == ["a", "b", "f"]
    assert found.differences[KIDNEY].value == pytest.approx(0.1 / 3)
    assert found.differences[TUMOR].value == pytest.approx(0.3)
    assert found.differences[TUMOR].cases == 2  # a false tumor without a labeled one is no Dice
    assert (found.differences[FOUND].first, found.differences[FOUND].second) == (0.5, 1)
    assert found.differences[FALSE].value == 1


def test_a_case_of_one_method_does_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    found = compare("x", [make_score("a"), make_score("b")], "y", [make_score("b")])
    assert found.only == ("a",)
    assert found.differences[KIDNEY].cases == 1
    print_comparison(found)
    assert "Scored by one alone, not counted: a" in capsys.readouterr().out


@pytest.mark.parametrize("scores", [[], [tumor_free()], [make_score("a"), tumor_free()]])
def test_the_picture_holds_with_any_cases(scores: list) -> None:
    figure = draw_comparison(compare("x", scores, "y", scores))
    figure.canvas.draw()
    assert [axes.get_xlabel() for axes in figure.axes] == ["x", "x"]
