"""Learning-rate rules that MONAI and torch lack."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ignite.engine import Engine, Events
from monai.handlers import from_engine
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau


class LossPlateau:
    """Lowers the learning rate when the training loss stalls, and ends a training at its floor.

    The loss is the mean of an epoch. Synthetic cases are never seen twice, so that it says what
    the loss of validation cases would.

    Args:
        optimizer: Whose learning rate is lowered.
        factor: By which it is multiplied.
        patience: Epochs without progress after which it is.
        min_lr: The training ends when the rate falls below.
        smoothing: Share of the past in a moving average of the loss; 0 takes each epoch alone.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 0.1,
        patience: int = 3,
        min_lr: float = 1e-6,
        smoothing: float = 0.0,
    ) -> None:
        # torch acts when the epochs without progress exceed its patience
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
        """What a checkpoint keeps."""
        return {"plateau": self.plateau.state_dict(), "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self.plateau.load_state_dict(state["plateau"])
        self.average = state["average"]

    def _collect(self, engine: Engine) -> None:
        loss = float(from_engine("loss", first=True)(engine.state.output))
        if math.isfinite(loss):  # else the update was left out as well
            self._losses.append(loss)

    def _step(self, engine: Engine) -> None:
        if not self._losses:
            return
        mean = sum(self._losses) / len(self._losses)
        self._losses.clear()
        past = mean if self.average is None else self.average
        self.average = self.smoothing * past + (1 - self.smoothing) * mean
        self.plateau.step(self.average)
        if max(self.plateau.get_last_lr()) < self.min_lr:
            engine.terminate()


def steady_then_cosine(
    iterations: int, steady: float, warmup: int = 200, least: float = 0.005
) -> Callable[[int], float]:
    """One long schedule: a warm-up, a steady rate, then half a cosine to the end.

    Args:
        iterations: Of the whole training.
        steady: Share of them after which the rate falls.
        warmup: Iterations in which it rises from 0.
        least: Share of the rate at the end.

    Returns:
        The factor of the learning rate of each iteration, for `torch.optim.lr_scheduler.LambdaLR`.
    """

    def factor(iteration: int) -> float:
        fallen = max(0.0, (iteration / iterations - steady) / (1 - steady))
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, fallen)))
        return min(1.0, (iteration + 1) / warmup) * max(least, cosine)

    return factor
