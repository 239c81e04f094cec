"""Schedules of deep supervision."""

from __future__ import annotations

from ignite.engine import Engine, Events
from monai.losses import DeepSupervisionLoss


class DecaySupervision:
    """Lowers the weight of the deeper outputs in the loss as training proceeds.

    It follows from the epoch alone, so a resumed training goes on with the right weight.

    Args:
        loss: Its first weight, that of the last output, stays; the others are set.
        weight: In the first epoch.
        factor: What the weight is multiplied by.
        every: Epochs between two such steps.
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
