"""Means and differences with 95 % intervals, by the percentile bootstrap (Efron 1979)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
_SEED = 0  # the same cases give the same intervals

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How far two methods differ over the same cases.

    Attributes:
        first: Mean, or share, of the first method; NaN if there is no case.
        second: Of the second.
        value: Second minus first.
        low: Lower end of the 95 % interval; NaN for fewer than two cases.
        high: Upper end.
        p: Two-sided, from the same resamples as the interval; NaN for fewer than two cases.
        cases: Number of cases that count.
    """

    first: float
    second: float
    value: float
    low: float
    high: float
    p: float
    cases: int


@dataclass(frozen=True)
class Estimate:
    """A mean over cases.

    Attributes:
        value: NaN if there is no case.
        low: Lower end of the 95 % interval; NaN for fewer than two cases.
        high: Upper end.
        cases: Number of cases that count.
    """

    value: float
    low: float
    high: float
    cases: int


def mean_of(values: Iterable[float]) -> Estimate:
    """Returns the mean of the values that are not NaN.

    Args:
        values: One for each case.
    """
    kept = np.array([value for value in values if not math.isnan(value)])
    if not len(kept):
        return Estimate(math.nan, math.nan, math.nan, 0)
    low, high = _interval(_mean, kept)
    return Estimate(float(kept.mean()), low, high, len(kept))


def ratio_of(counts: Sequence[tuple[int, int]]) -> Estimate:
    """Returns the share of items with a property, over all cases.

    Args:
        counts: For each case with items, how many have the property, and how many there are.
    """
    if not counts:
        return Estimate(math.nan, math.nan, math.nan, 0)
    part, whole = np.array(counts, dtype=np.float64).T
    low, high = _interval(_ratio, part, whole)
    return Estimate(float(part.sum() / whole.sum()), low, high, len(counts))


def difference_of_means(pairs: Sequence[tuple[float, float]]) -> Difference:
    """Returns the difference of two means over the same cases.

    Args:
        pairs: For each case, the values of the first and of the second method; pairs with a NaN are
            left out.
    """
    kept = [pair for pair in pairs if not math.isnan(sum(pair))]
    return _difference([(*pair, 1.0) for pair in kept])


def difference_of_ratios(counts: Sequence[tuple[int, int, int]]) -> Difference:
    """Returns the difference of the shares of items that two methods found, over all cases.

    Args:
        counts: For each case with items, how many the first and the second method found, and how
            many there are.
    """
    return _difference([(float(a), float(b), float(n)) for a, b, n in counts])


def _difference(rows: Sequence[tuple[float, float, float]]) -> Difference:
    """Of the sums of two columns over that of the third; a mean where that is of ones."""
    if not rows:
        nan = math.nan
        return Difference(nan, nan, nan, nan, nan, nan, 0)
    first, second, whole = np.array(rows, dtype=np.float64).T
    low = high = p = math.nan
    gain = second - first
    if len(rows) > 1:
        found = _resampled(_ratio, gain, whole)
        low, high = (float(end) for end in found.confidence_interval)
        p = _two_sided(found.bootstrap_distribution, len(rows))
    before, after, apart = (float(part.sum() / whole.sum()) for part in (first, second, gain))
    return Difference(before, after, apart, low, high, p, len(rows))


def _two_sided(resampled: Array, cases: int) -> float:
    """The p value whose test agrees with the percentile interval (Efron and Tibshirani 1993, 15.4).

    One is added to both counts, so that no p is 0 (Davison and Hinkley 1997, 4.2.1). Resamples of
    two cases know nothing but these two, so p is at least the smallest that a test of the signs of
    so many differences can give.
    """
    below, above = int((resampled <= 0).sum()), int((resampled >= 0).sum())
    p = 2 * (min(below, above) + 1) / (len(resampled) + 1)
    return min(1.0, max(p, 2.0 ** (1 - cases)))


def _interval(statistic: Callable[..., Any], *samples: Array) -> tuple[float, float]:
    if len(samples[0]) < 2:
        return math.nan, math.nan
    found = _resampled(statistic, *samples).confidence_interval
    return float(found.low), float(found.high)


def _resampled(statistic: Callable[..., Any], *samples: Array) -> Any:
    from scipy.stats import bootstrap

    return bootstrap(
        samples,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    )


def _mean(values: Array, axis: int) -> Any:
    return values.mean(axis=axis)


def _ratio(part: Array, whole: Array, axis: int) -> Any:
    return part.sum(axis=axis) / whole.sum(axis=axis)
