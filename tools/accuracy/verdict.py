"""Which variants of a method cost no accuracy."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from renalseg.errors import RenalSegError
from tools.accuracy.variants import DEFAULT, PLAIN, Measured

MOST_LOSS = 0.002  # of mean Dice, in kidney or tumor
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Verdict:
    """A variant compared with the plain run of its method, in means over the cases.

    Attributes:
        measured: The variant.
        seconds: Of a study.
        kidney: Dice.
        tumor: Dice over the cases with a labeled tumor; None if there are none.
        kidney_delta: Gain over the plain run; negative is a loss.
        tumor_delta: The same for tumors.
    """

    measured: Measured
    seconds: float
    kidney: float
    tumor: float | None
    kidney_delta: float
    tumor_delta: float | None

    @property
    def fit(self) -> bool:
        """Whether it may be the default: neither mean loses more than `MOST_LOSS`."""
        return min(self.kidney_delta, self.tumor_delta or 0.0) >= -MOST_LOSS - _ROUNDING

    @property
    def word(self) -> str:
        """For tables: "reference", "fit" or "not fit"."""
        if self.measured.variant == PLAIN:
            return "reference"
        return "fit" if self.fit else "not fit"


def judge(measured: Sequence[Measured]) -> list[Verdict]:
    """Judges each variant against the plain one of the same method.

    Args:
        measured: On the same cases, with a plain one for each method.
    """
    plain = {one.method: one for one in measured if one.variant == PLAIN}
    return [_judge(one, plain[one.method]) for one in measured]


def require_fit_defaults(verdicts: Sequence[Verdict]) -> None:
    """Refuses shipped settings that cost accuracy.

    Raises:
        RenalSegError: Names the methods.
    """
    lost = [v.measured.method for v in verdicts if v.measured.variant == DEFAULT and not v.fit]
    if lost:
        raise RenalSegError(
            f"Expected the settings of inference.yaml to cost at most {MOST_LOSS} of mean Dice "
            f"against the plain run, exceeded in {', '.join(lost)}"
        )


def _judge(one: Measured, plain: Measured) -> Verdict:
    kidney, tumor = _means(one)
    plain_kidney, plain_tumor = _means(plain)
    return Verdict(
        measured=one,
        seconds=statistics.fmean(score.seconds for score in one.scores),
        kidney=kidney,
        tumor=tumor,
        kidney_delta=kidney - plain_kidney,
        tumor_delta=None if tumor is None or plain_tumor is None else tumor - plain_tumor,
    )


def _means(measured: Measured) -> tuple[float, float | None]:
    tumors = [score.tumor for score in measured.scores if score.tumor is not None]
    kidney = statistics.fmean(score.kidney for score in measured.scores)
    return kidney, statistics.fmean(tumors) if tumors else None
