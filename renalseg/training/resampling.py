"""Which training cases are drawn how often."""

from __future__ import annotations

import math
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.handlers import from_engine
from torch import Tensor


class FavorHardCases:
    """Draws the cases with a high loss more often.

    The loss of a batch counts for each of its cases, so that over some epochs those stand out that
    raise it. After each epoch a case is drawn in proportion to its average loss.

    Args:
        weights: Of the cases, (number of cases,), changed in place: those of the stream,
            `renalseg.synthesis.stream.CaseStream.weights`.
        smoothing: Share of the past in the moving average of a case.
        limit: The hardest case is drawn at most so many times as often as the average one, the
            easiest at least the inverse.

    Raises:
        ValueError: A smoothing outside 0 to 1, or a limit below 1.
    """

    def __init__(self, weights: Tensor, smoothing: float = 0.8, limit: float = 3.0) -> None:
        if not (0 <= smoothing < 1 and limit >= 1):
            raise ValueError(f"Expected 0 <= smoothing < 1 <= limit, got {smoothing} and {limit}")
        self.weights = weights
        self.smoothing = smoothing
        self.limit = limit
        self._losses = torch.full((len(weights),), torch.nan)

    def attach(self, engine: Engine) -> None:
        """Follows a MONAI trainer whose batches have `case`, the numbers of their cases."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._reweight)

    def _collect(self, engine: Engine) -> None:
        loss = float(from_engine("loss", first=True)(engine.state.output))
        if not math.isfinite(loss):  # the update was left out as well
            return
        items: Any = engine.state.batch  # which MONAI's trainer has taken apart by now
        for case in (int(item["case"]) for item in items):
            past = self._losses[case]
            share = 0.0 if past.isnan() else self.smoothing
            self._losses[case] = share * past.nan_to_num() + (1 - share) * loss

    def _reweight(self, engine: Engine) -> None:
        mean = self._losses.nanmean()
        relative = (self._losses / mean).nan_to_num(nan=1.0)  # not drawn yet: as the average
        self.weights.copy_(relative.clamp(1 / self.limit, self.limit))
