from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch import Tensor

from renalseg.training.resampling import FavorHardCases


def follow(handler: FavorHardCases, epochs: list[list[tuple[list[int], float]]]) -> None:
    """Runs epochs of iterations, each with the cases of its batch and its loss."""
    batches = iter([iteration for epoch in epochs for iteration in epoch])

    def step(engine: Engine, _: Any) -> list[dict[str, float]]:
        cases, loss = next(batches)
        engine.state.batch = [{"case": torch.tensor(case)} for case in cases]
        return [{"loss": loss}]

    engine = Engine(step)
    handler.attach(engine)
    engine.run(range(len(epochs[0])), max_epochs=len(epochs))


@pytest.fixture
def weights() -> Tensor:
    return torch.ones(3)


def test_a_hard_case_is_drawn_more_often_in_proportion_to_its_loss(weights: Tensor) -> None:
    follow(FavorHardCases(weights), [[([0], 0.2), ([1], 0.6), ([2], 0.4)]])
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.5, 1.0]))


def test_a_batch_counts_for_all_its_cases(weights: Tensor) -> None:
    follow(FavorHardCases(weights), [[([0, 1], 0.2), ([2, 2], 0.8)]])
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.5, 2.0]))


def test_a_case_that_was_not_drawn_counts_as_the_average(weights: Tensor) -> None:
    follow(FavorHardCases(weights), [[([0], 0.2), ([1], 0.6)]])
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.5, 1.0]))


def test_weights_stay_within_the_limit(weights: Tensor) -> None:
    follow(FavorHardCases(weights, limit=1.5), [[([0], 0.0), ([1], 3.0), ([2], 0.0)]])
    torch.testing.assert_close(weights, torch.tensor([1 / 1.5, 1.5, 1 / 1.5]))


def test_the_past_counts_by_its_share(weights: Tensor) -> None:
    handler = FavorHardCases(weights, smoothing=0.75)
    follow(handler, [[([0], 1.0), ([1], 1.0)], [([0], 3.0), ([1], 1.0)]])
    torch.testing.assert_close(weights, torch.tensor([1.2, 0.8, 1.0]))  # 1.5 and 1.0


@pytest.mark.parametrize("wrong", [{"smoothing": 1.0}, {"smoothing": -0.1}, {"limit": 0.5}])
def test_arguments_out_of_range_are_refused(weights: Tensor, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="smoothing"):
        FavorHardCases(weights, **wrong)
