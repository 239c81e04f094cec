"""Schedules over the epochs: learning rate, deep supervision, sampling of cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.handlers import from_engine
from monai.losses import DeepSupervisionLoss
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from renalseg.training.distributed import mean_over_all


class LossPlateau:
    """Lowers the learning rate when the training loss stalls, and ends a training at its floor.

    The loss is the mean of an epoch, over all processes, so that they lower the rate and end
    together. No synthetic case is seen twice, so it is as good as a validation loss.

    Args:
        optimizer: Its learning rate is lowered.
        factor: Factor of the decrease. patience: Epochs without progress before a decrease.
        min_lr: The training ends when the rate falls below.
        smoothing: Share of the past in a moving average of the loss; 0 uses each epoch alone.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 0.1,
        patience: int = 3,
        min_lr: float = 1e-6,
        smoothing: float = 0.0,
    ) -> None:
        # torch acts once the epochs without progress exceed its patience
        self.plateau = ReduceLROnPlateau(optimizer, factor=factor, patience=patience - 1)
        self.min_lr = min_lr
        self.smoothing = smoothing
        self.average: float | None = None
        self._losses: list[float] = []

    def attach(self, engine: Engine) -> None:
        """Follows a MONAI trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._step)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        return {"plateau": self.plateau.state_dict(), "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of a checkpoint."""
        self.plateau.load_state_dict(state["plateau"])
        self.average = state["average"]

    def _collect(self, engine: Engine) -> None:
        loss = float(from_engine("loss", first=True)(engine.state.output))
        if math.isfinite(loss):  # otherwise the update was skipped
            self._losses.append(loss)

    def _step(self, engine: Engine) -> None:
        mean = mean_over_all(self._losses)
        self._losses.clear()
        if mean is None:
            return
        past = mean if self.average is None else self.average
        self.average = self.smoothing * past + (1 - self.smoothing) * mean
        self.plateau.step(self.average)
        if max(self.plateau.get_last_lr()) < self.min_lr:
            engine.terminate()


def steady_then_cosine(
    iterations: int, steady: float, warmup: int = 200, least: float = 0.005
) -> Callable[[int], float]:
    """A schedule of warm-up, a steady rate, then half a cosine to the end.

    Args:
        iterations: Of the whole training.
        steady: Share of them after which the rate falls.
        warmup: Iterations in which it rises from 0; at most a tenth of all.
        least: Share of the rate at the end.

    Returns:
        The factor of the learning rate of each iteration, for `torch.optim.lr_scheduler.LambdaLR`.
    """
    warmup = max(1, min(warmup, iterations // 10))

    def factor(iteration: int) -> float:
        fallen = max(0.0, (iteration / iterations - steady) / (1 - steady))
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, fallen)))
        return min(1.0, (iteration + 1) / warmup) * max(least, cosine)

    return factor


class DecaySupervision:
    """Lowers the weight of the deeper outputs in the loss as training proceeds.

    It depends only on the epoch, so a resumed training has the right weight.

    Args:
        loss: The weight of the last output, its first, stays; the others are set.
        weight: In the first epoch.
        factor: Factor by which the weight is multiplied.
        every: Epochs between two steps.
    """

    def __init__(
        self, loss: DeepSupervisionLoss, weight: float = 0.33, factor: float = 0.8, every: int = 15
    ) -> None:
        self.loss = loss
        self.weight = weight
        self.factor = factor
        self.every = every

    def attach(self, engine: Engine) -> None:
        """Sets the weights at the start of each epoch of a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Sets the weights of the engine's epoch."""
        weight = self.weight * self.factor ** ((engine.state.epoch - 1) // self.every)
        weights = self.loss.weights or [1.0]
        self.loss.weights = [weights[0], *(weight for _ in weights[1:])]


class FavorHardCases:
    """Draws cases with a high loss more often.

    Each case gets the loss of its batch, so after some epochs the hard ones stand out. After each
    epoch a case is drawn in proportion to its average loss, and to the weight that it began with.

    Args:
        weights: Of the cases, (number of cases,), changed in place: those of the stream,
            `renalseg.synthesis.patient.CaseStream.weights`.
        smoothing: Share of the past in the moving average of a case.
        limit: The hardest case is drawn at most this many times as often as the average one, the
            easiest at least the inverse.

    Raises:
        ValueError: A smoothing outside 0 to 1, or a limit below 1.
    """

    def __init__(self, weights: Tensor, smoothing: float = 0.8, limit: float = 3.0) -> None:
        if not (0 <= smoothing < 1 and limit >= 1):
            raise ValueError(f"Expected 0 <= smoothing < 1 <= limit, got {smoothing} and {limit}")
        self.weights = weights
        self._first = weights.clone()
        self.smoothing = smoothing
        self.limit = limit
        self._losses = torch.full((len(weights),), torch.nan)

    def attach(self, engine: Engine) -> None:
        """Follows a MONAI trainer whose batches have `case`, the numbers of their cases."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._reweight)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the state for a checkpoint."""
        return {"losses": self._losses, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Goes on from a checkpoint, unless that is of another number of cases."""
        if len(state["weights"]) == len(self.weights):
            self._losses.copy_(state["losses"])
            self.weights.copy_(state["weights"])

    def _collect(self, engine: Engine) -> None:
        loss = float(from_engine("loss", first=True)(engine.state.output))
        if not math.isfinite(loss):  # the update was skipped
            return
        items: Any = engine.state.batch  # which MONAI's trainer has decollated by now
        for case in (int(item["case"]) for item in items):
            past = self._losses[case]
            share = 0.0 if past.isnan() else self.smoothing
            self._losses[case] = share * past.nan_to_num() + (1 - share) * loss

    def _reweight(self, engine: Engine) -> None:
        mean = self._losses.nanmean()
        relative = (self._losses / mean).nan_to_num(nan=1.0)  # not drawn yet: average
        self.weights.copy_(self._first * relative.clamp(1 / self.limit, self.limit))
