"""A moving average of the weights, which is often better than the last ones."""

from __future__ import annotations

from ignite.engine import Engine, Events
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from renalseg.errors import ConfigError


class WeightAverage(AveragedModel):
    """Exponential moving average of the weights of a network, and of its running statistics.

    Starts as a copy of the weights after the first iteration.

    Args:
        network: What is trained.
        decay: Share of the past: 0.998 remembers about 1 / (1 - 0.998) = 500 iterations.

    Raises:
        ConfigError: A decay outside 0 to 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ConfigError(f"Expected ema between 0 and 1, such as 0.998, or null; got {decay}")
        super().__init__(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        self._source = (network,)  # a tuple, so that its weights are not saved with the average

    def attach(self, engine: Engine) -> None:
        """Follows a trainer, iteration by iteration."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)

    def _update(self) -> None:
        self.update_parameters(*self._source)
