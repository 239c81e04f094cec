"""Stabilizes a training: skips broken updates and averages the weights."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from torch import Tensor, nn
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn

from renalseg.errors import ConfigError, RenalSegError


class SkipBrokenUpdates:
    """Skips the update of an iteration whose gradient is NaN or infinite.

    A single one would make all weights NaN, and they occur in healthy trainings: torch's bfloat16
    gradient of a convolution over very few voxels on a CPU is occasionally NaN. The running
    statistics of such an iteration are restored as well. A loss that is NaN or infinite has such a
    gradient, and all processes of a training have the same one, so they skip together.

    Args:
        network: What is trained.
        limit: How many such iterations in a row end the training.
    """

    def __init__(self, network: nn.Module, limit: int = 10) -> None:
        self.network = network
        self.limit = limit
        self._in_a_row = 0
        self._sound: list[torch.Tensor] = []

    def attach(self, engine: Engine) -> None:
        """Follows a MONAI trainer, and counts in its `state.skipped_updates`, reset each epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._check)

    def _start(self, engine: Engine) -> None:
        state: Any = engine.state
        state.skipped_updates = 0

    def _check(self, engine: Engine) -> None:
        state: Any = engine.state
        gradients = [w.grad for w in self.network.parameters() if w.grad is not None]
        if torch.nn.utils.get_total_norm(gradients).isfinite():
            self._in_a_row = 0
            self._sound = [buffer.clone() for buffer in self.network.buffers()]
            return
        self._in_a_row += 1
        state.skipped_updates += 1
        engine.logger.warning(
            "Iteration %d: gradient NaN or infinite, update skipped", state.iteration
        )
        if self._in_a_row > self.limit:
            raise RenalSegError(
                f"Expected finite gradients, found NaN or infinite ones in {self._in_a_row} "
                f"iterations in a row, until iteration {state.iteration}. Start again with "
                "a lower --learning_rate or a larger patch; checkpoint.pt has the last epoch before"
            )
        self._leave_out(engine)

    def _leave_out(self, engine: Engine) -> None:
        """Removes the gradients, so that the optimizer changes nothing, not even its moments."""
        for buffer, sound in zip(self.network.buffers(), self._sound, strict=False):
            buffer.copy_(sound)
        if getattr(engine, "scaler", None) is None:  # a scaler of float16 gradients skips by itself
            for weight in self.network.parameters():
                weight.grad = None


class WeightAverage(AveragedModel):
    """Exponential moving average of the weights of a network, and of its running statistics.

    Starts as a copy of the weights after the first iteration. It remembers about the last tenth of
    a training at most, so that a short one does not keep its random start.

    Args:
        network: What is trained.
        decay: Share of the past: 0.998 remembers about 1 / (1 - 0.998) = 500 iterations.

    Raises:
        ConfigError: A decay outside 0 to 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ConfigError(f"Expected ema between 0 and 1, such as 0.998, or null; got {decay}")
        super().__init__(network, multi_avg_fn=self._mix, use_buffers=True)
        self._decay = decay
        self._source = (network,)  # a tuple, so that its weights are not saved with the average

    def attach(self, engine: Engine) -> None:
        """Follows a trainer, iteration by iteration."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)

    def _mix(self, averages: PARAM_LIST, weights: PARAM_LIST, iterations: Tensor | int) -> None:
        decay = min(self._decay, float((1 + iterations) / (10 + iterations)))
        get_ema_multi_avg_fn(decay)(averages, weights, iterations)

    def _update(self) -> None:
        self.update_parameters(*self._source)
