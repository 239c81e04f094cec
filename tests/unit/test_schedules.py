from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch.optim import SGD

from renalseg.training.schedules import LossPlateau, steady_then_cosine


@pytest.fixture
def optimizer() -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)


def follow(plateau: LossPlateau, losses: list[list[float]]) -> int:
    """Runs epochs with the given losses of their iterations; gives the epoch it ended in."""
    stream = iter([value for epoch in losses for value in epoch])
    engine = Engine(lambda engine, batch: [{"loss": next(stream)}])
    plateau.attach(engine)
    state: Any = engine.run(range(len(losses[0])), max_epochs=len(losses))
    return int(state.epoch)


def lr_of(optimizer: SGD) -> float:
    return float(optimizer.param_groups[0]["lr"])


def test_rate_stays_while_the_mean_of_the_epochs_falls(optimizer: SGD) -> None:
    follow(LossPlateau(optimizer), [[9.0, 1.0], [1.0, 8.0], [1.0, 7.0], [6.0, 1.0], [1.0, 5.0]])
    assert lr_of(optimizer) == pytest.approx(0.01)


@pytest.mark.parametrize(("stalled", "expected"), [(2, 0.01), (3, 0.001), (6, 0.0001)])
def test_rate_falls_after_three_epochs_without_progress(
    optimizer: SGD, stalled: int, expected: float
) -> None:
    follow(LossPlateau(optimizer, factor=0.1, patience=3), [[1.0]] * (1 + stalled))
    assert lr_of(optimizer) == pytest.approx(expected)


def test_training_ends_at_the_floor(optimizer: SGD) -> None:
    plateau = LossPlateau(optimizer, factor=0.1, patience=3, min_lr=1e-3)
    assert follow(plateau, [[1.0]] * 20) == 7


def test_moving_average_overlooks_one_good_epoch(optimizer: SGD) -> None:
    plateau = LossPlateau(optimizer, smoothing=0.5)
    follow(plateau, [[4.0], [2.0]])
    assert plateau.average == pytest.approx(3.0)


def test_a_resumed_schedule_goes_on_where_it_stopped(optimizer: SGD) -> None:
    first = LossPlateau(optimizer)
    follow(first, [[1.0]] * 3)
    second = LossPlateau(optimizer)
    second.load_state_dict(first.state_dict())
    follow(second, [[1.0]])
    assert lr_of(optimizer) == pytest.approx(0.001)


def test_one_long_schedule_rises_stays_and_falls() -> None:
    factor = steady_then_cosine(1000, steady=0.5, warmup=100)
    assert factor(0) == pytest.approx(0.01)
    assert factor(99) == factor(500) == 1.0
    assert factor(750) == pytest.approx(0.5)
    assert factor(1000) == factor(1200) == pytest.approx(0.005)
