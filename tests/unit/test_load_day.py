"""The day that is played against the worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.load_day import Sample, arrivals, draw, growth, play


def test_half_of_the_series_arrive_in_working_hours_and_half_at_any_hour() -> None:
    hours = arrivals(2000)
    assert hours == sorted(arrivals(2000))
    assert 0 <= hours[0] < 1
    assert 23 < hours[-1] < 24
    assert sum(8 <= hour <= 17 for hour in hours) == pytest.approx(1000 + 1000 * 9 / 24, abs=60)


def test_growth_leaves_out_the_start() -> None:
    rss = [10, 20, 30, 30, 31, 31, 31, 32, 32]
    samples = [Sample(hour, value, 0, hour) for hour, value in enumerate(rss)]
    assert growth(samples) == 2  # 30 of jobs 2 and 3, 32 of 6 to 8


def test_the_picture_shows_memory_and_jobs() -> None:
    above, below = draw([Sample(0, 30, 2, 0), Sample(24, 31, 0, 2)]).axes
    assert "2 series" in above.get_title()
    assert list(above.lines[0].get_ydata()) == [30, 31]
    assert [list(line.get_ydata()) for line in below.lines[:2]] == [[2, 0], [0, 2]]


@pytest.mark.slow
def test_a_short_day_is_played_to_its_end(tmp_path: Path) -> None:
    samples = play(6, 0.5, tmp_path)
    assert (samples[-1].done, samples[-1].unfinished) == (6, 0)
    assert samples[-1].rss > 10
