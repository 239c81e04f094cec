"""Summary of many cases: means with intervals, strata, agreement, failures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from renalseg.evaluation.bootstrap import Estimate, mean_of, ratio_of
from renalseg.evaluation.case_score import KITS19_NAMES, CaseScore
from renalseg.evaluation.lesions import SIZES_CM
from renalseg.evaluation.overlap import KIDNEY_AND_MASSES, KITS23, TUMORS

FAILED_BELOW = 0.1  # Dice
_LIMITS = 1.96  # standard deviations, of Bland and Altman's limits of agreement


@dataclass(frozen=True)
class Agreement:
    """Agreement of predicted with labeled volumes (Bland and Altman 1986).

    Attributes:
        cases: Number of cases with the structure labeled.
        bias_ml: Mean error, predicted minus labeled.
        low_ml: Lower limit of agreement, 1.96 standard deviations below the bias.
        high_ml: Upper limit.
        mean_absolute_ml: Mean absolute error.
        median_absolute_percent: Median absolute error relative to the labeled volume.
    """

    cases: int
    bias_ml: float
    low_ml: float
    high_ml: float
    mean_absolute_ml: float
    median_absolute_percent: float


@dataclass(frozen=True)
class Stratum:
    """The lesions of one range of sizes.

    Attributes:
        name: Such as "2 to 4 cm".
        lesions: Number of labeled lesions.
        found: Number of these that were found.
        sensitivity: Their share.
    """

    name: str
    lesions: int
    found: int
    sensitivity: Estimate


class Failure(NamedTuple):
    """A Dice below `FAILED_BELOW`."""

    case: str
    region: str
    dice: float


@dataclass(frozen=True)
class Summary:
    """All cases together.

    Attributes:
        cases: How many.
        kits19: Mean Dice, by `KITS19_NAMES`.
        dice: Mean Dice of the regions of KiTS23.
        surface_dice: Mean surface Dice of them.
        volumes: Agreement, by region.
        lesions: All lesions, whatever their size.
        by_size: The lesions by their longest diameter.
        false_positives: Per scan.
        tumor_free: Scans without a labeled tumor.
        tumor_free_false_positives: Per scan of these.
        failures: Dice below `FAILED_BELOW`.
    """

    cases: int
    kits19: dict[str, Estimate]
    dice: dict[str, Estimate]
    surface_dice: dict[str, Estimate]
    volumes: dict[str, Agreement]
    lesions: Stratum
    by_size: tuple[Stratum, ...]
    false_positives: Estimate
    tumor_free: int
    tumor_free_false_positives: Estimate
    failures: tuple[Failure, ...]


def summarize(scores: Sequence[CaseScore]) -> Summary:
    """Summarizes cases; the intervals are reproducible.

    Args:
        scores: One or more.
    """
    edges = [0.0, *(10 * cm for cm in SIZES_CM), math.inf]
    free = [score for score in scores if not score.has_tumor]
    names = [region.name for region in KITS23]
    return Summary(
        cases=len(scores),
        kits19={name: mean_of(s.kits19[name] for s in scores) for name in KITS19_NAMES},
        dice={name: mean_of(s.dice[name] for s in scores) for name in names},
        surface_dice={name: mean_of(s.surface_dice[name] for s in scores) for name in names},
        volumes={
            region.name: agreement(scores, region.name) for region in (KIDNEY_AND_MASSES, TUMORS)
        },
        lesions=stratum(scores, "all"),
        by_size=tuple(
            stratum(scores, _name(low, high), low, high) for low, high in pairwise(edges)
        ),
        false_positives=false_positives(scores),
        tumor_free=len(free),
        tumor_free_false_positives=false_positives(free),
        failures=tuple(_failures(scores)),
    )


def stratum(
    scores: Iterable[CaseScore], name: str, over_mm: float = 0.0, up_to_mm: float = math.inf
) -> Stratum:
    """The lesions within a range of sizes, over all cases.

    Args:
        scores: The cases.
        name: Of the range.
        over_mm: Longest diameter that is too small.
        up_to_mm: Longest diameter that still belongs to it.
    """
    counts = [
        (sum(lesion.found for lesion in kept), len(kept))
        for score in scores
        if (kept := [x for x in score.tumors.lesions if over_mm < x.diameter_mm <= up_to_mm])
    ]
    found, total = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    return Stratum(name, total, found, ratio_of(counts))


def false_positives(scores: Iterable[CaseScore]) -> Estimate:
    """Returns the false tumors per scan."""
    return mean_of(float(len(score.tumors.false_positives_ml)) for score in scores)


def agreement(scores: Iterable[CaseScore], region: str) -> Agreement:
    """Returns the agreement of a region's predicted and labeled volumes, where it is labeled."""
    volumes = [score.volumes[region] for score in scores if score.volumes[region].label]
    if not volumes:
        return Agreement(0, *[math.nan] * 5)
    errors = np.array([volume.error_ml for volume in volumes])
    percent = np.array([volume.error_percent for volume in volumes])
    bias = float(errors.mean())
    reach = _LIMITS * float(errors.std(ddof=1)) if len(errors) > 1 else math.nan
    return Agreement(
        cases=len(volumes),
        bias_ml=bias,
        low_ml=bias - reach,
        high_ml=bias + reach,
        mean_absolute_ml=float(np.abs(errors).mean()),
        median_absolute_percent=float(np.median(np.abs(percent))),
    )


def _failures(scores: Iterable[CaseScore]) -> Iterable[Failure]:
    for score in scores:
        for name in ("kidney", "tumor"):
            if score.kits19[name] < FAILED_BELOW:  # a NaN is none
                yield Failure(score.case, name, score.kits19[name])


def _name(low_mm: float, high_mm: float) -> str:
    low, high = f"{low_mm / 10:g}", f"{high_mm / 10:g}"
    if not low_mm:
        return f"up to {high} cm"
    return f"over {low} cm" if math.isinf(high_mm) else f"{low} to {high} cm"
