"""Means with 95 % intervals by the percentile bootstrap over cases (Efron 1979)."""

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


def _interval(statistic: Callable[..., Any], *samples: Array) -> tuple[float, float]:
    if len(samples[0]) < 2:
        return math.nan, math.nan
    from scipy.stats import bootstrap

    found = bootstrap(
        samples,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def _mean(values: Array, axis: int) -> Any:
    return values.mean(axis=axis)


def _ratio(part: Array, whole: Array, axis: int) -> Any:
    return part.sum(axis=axis) / whole.sum(axis=axis)
