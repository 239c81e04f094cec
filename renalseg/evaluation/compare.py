"""Two methods on the same cases: differences with intervals, and case by case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from renalseg.evaluation.bootstrap import Difference, difference_of_means, difference_of_ratios
from renalseg.evaluation.case_score import CaseScore

KIDNEY, TUMOR, FOUND, FALSE = "kidney Dice", "tumor Dice", "tumors found", "false tumors per scan"
LESS_IS_BETTER = frozenset({FALSE})


@dataclass(frozen=True)
class CasePair:
    """A case that both methods segmented.

    Attributes:
        first: Score of the first method.
        second: Score of the second.
    """

    first: CaseScore
    second: CaseScore

    @property
    def case(self) -> str:
        """Name."""
        return self.first.case

    def dice(self, structure: str) -> tuple[float, float]:
        """Dice of both (KiTS19); that of a tumor only counts where one is labeled."""
        if structure == "tumor" and not self.first.has_tumor:
            return math.nan, math.nan
        return self.first.kits19[structure], self.second.kits19[structure]

    @property
    def found(self) -> tuple[int, int]:
        """Number of labeled tumors that each found."""
        first, second = (
            sum(lesion.found for lesion in score.tumors.lesions)
            for score in (self.first, self.second)
        )
        return first, second

    @property
    def lesions(self) -> int:
        """Number of labeled tumors."""
        return len(self.first.tumors.lesions)

    @property
    def false(self) -> tuple[int, int]:
        """Number of false tumors of each."""
        first, second = (
            len(score.tumors.false_positives_ml) for score in (self.first, self.second)
        )
        return first, second


@dataclass(frozen=True)
class Comparison:
    """Two methods on the cases that both segmented.

    Attributes:
        first: Name of the first method.
        second: Name of the second.
        pairs: The cases, in the order of their names.
        only: Cases that one of them alone has a score of; they do not count.
        differences: Second minus first, by name.
    """

    first: str
    second: str
    pairs: tuple[CasePair, ...]
    only: tuple[str, ...]
    differences: dict[str, Difference]


def compare(
    first: str, scores: Sequence[CaseScore], second: str, others: Sequence[CaseScore]
) -> Comparison:
    """Compares two methods by the paired bootstrap over cases.

    Args:
        first: Name of the first method.
        scores: Its scores.
        second: Name of the second.
        others: Its scores, of the same labels.
    """
    own, other = ({score.case: score for score in each} for each in (scores, others))
    pairs = tuple(CasePair(own[name], other[name]) for name in sorted(set(own) & set(other)))
    counts = [(*pair.found, pair.lesions) for pair in pairs if pair.lesions]
    differences = {
        KIDNEY: difference_of_means([pair.dice("kidney") for pair in pairs]),
        TUMOR: difference_of_means([pair.dice("tumor") for pair in pairs]),
        FOUND: difference_of_ratios(counts),
        FALSE: difference_of_means([(float(a), float(b)) for a, b in (p.false for p in pairs)]),
    }
    return Comparison(first, second, pairs, tuple(sorted(set(own) ^ set(other))), differences)
