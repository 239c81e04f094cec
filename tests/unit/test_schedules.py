from __future__ import annotations

import json
import math
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.losses import DeepSupervisionLoss, DiceLoss
from torch import Tensor
from torch.optim import SGD

from renalseg.training.distributed import start, stop
from renalseg.training.schedules import (
    DecaySupervision,
    FavorHardCases,
    LossPlateau,
    steady_then_cosine,
)


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


def plateau_of_rank(rank: int, port: int, folder: Path) -> None:
    """One of two processes; writes the rate after each epoch, until the training ends."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ.update(address, RANK=str(rank), CUDA_VISIBLE_DEVICES="")
    start()
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    # Alone, rank 0 would stall at once, and rank 1 never. In the first epoch rank 0 has no loss.
    own = (
        [math.nan, *(1 + i / 10 for i in range(19))]
        if rank == 0
        else [3 - i / 10 for i in range(20)]
    )
    rates: list[float] = []
    stream = iter(own)
    engine = Engine(lambda engine, batch: [{"loss": next(stream)}])
    LossPlateau(optimizer, factor=0.1, patience=2, min_lr=1e-4).attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: rates.append(lr_of(optimizer)))
    engine.run([0], max_epochs=len(own))
    (folder / f"{rank}.json").write_text(json.dumps(rates))
    stop()


def test_all_processes_lower_the_rate_and_end_together(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # forked, because to import all of this again takes longer than the test
    torch.multiprocessing.start_processes(
        plateau_of_rank, (port, tmp_path), nprocs=2, start_method="fork"
    )
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert 3 < len(first) < 20
    assert first[-1] < 1e-4


def test_one_long_schedule_rises_stays_and_falls() -> None:
    factor = steady_then_cosine(1000, steady=0.5, warmup=100)
    assert factor(0) == pytest.approx(0.01)
    assert factor(99) == factor(500) == 1.0
    assert factor(750) == pytest.approx(0.5)
    assert factor(1000) == factor(1200) == pytest.approx(0.005)


def test_a_short_schedule_reaches_its_peak() -> None:
    factor = steady_then_cosine(100, steady=0.5, warmup=200)
    assert factor(0) == pytest.approx(0.1)
    assert factor(9) == factor(50) == 1.0


def weights_of_epochs(first: int, last: int) -> list[list[float] | None]:
    """The weights of the loss in each epoch of a training that starts before epoch `first`."""
    loss = DeepSupervisionLoss(DiceLoss(), weights=[1.0, 0.5, 0.5])
    seen: list[list[float] | None] = []
    engine = Engine(lambda engine, batch: seen.append(loss.weights))
    DecaySupervision(loss, weight=0.4, factor=0.5, every=2).attach(engine)
    engine.load_state_dict({"epoch_length": 1, "max_epochs": last, "iteration": first - 1})
    engine.run([0])
    return seen


def test_the_deeper_weights_fall_in_steps_and_the_first_stays() -> None:
    expected = [[1, w, w] for w in (0.4, 0.4, 0.2, 0.2, 0.1)]
    assert weights_of_epochs(1, 5) == [pytest.approx(row) for row in expected]


def test_a_resumed_training_goes_on_with_the_weight_of_its_epoch() -> None:
    assert weights_of_epochs(4, 5) == weights_of_epochs(1, 5)[3:]


def draw_by(handler: FavorHardCases, epochs: list[list[tuple[list[int], float]]]) -> None:
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
    draw_by(FavorHardCases(weights), [[([0], 0.2), ([1], 0.6), ([2], 0.4)]])
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.5, 1.0]))


def test_a_batch_counts_for_all_its_cases(weights: Tensor) -> None:
    draw_by(FavorHardCases(weights), [[([0, 1], 0.2), ([2, 2], 0.8)]])
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.5, 2.0]))


def test_a_case_that_was_not_drawn_counts_as_the_average(weights: Tensor) -> None:
    draw_by(FavorHardCases(weights), [[([0], 0.2), ([1], 0.6)]])
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.5, 1.0]))


def test_weights_stay_within_the_limit(weights: Tensor) -> None:
    draw_by(FavorHardCases(weights, limit=1.5), [[([0], 0.0), ([1], 3.0), ([2], 0.0)]])
    torch.testing.assert_close(weights, torch.tensor([1 / 1.5, 1.5, 1 / 1.5]))


def test_the_past_counts_by_its_share(weights: Tensor) -> None:
    handler = FavorHardCases(weights, smoothing=0.75)
    draw_by(handler, [[([0], 1.0), ([1], 1.0)], [([0], 3.0), ([1], 1.0)]])
    torch.testing.assert_close(weights, torch.tensor([1.2, 0.8, 1.0]))  # 1.5 and 1.0


def test_cases_that_were_favored_from_the_start_stay_so(weights: Tensor) -> None:
    weights[2] = 4.0
    draw_by(FavorHardCases(weights), [[([0], 0.2), ([1], 0.6), ([2], 0.4)]])
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.5, 4.0]))


@pytest.mark.parametrize("wrong", [{"smoothing": 1.0}, {"smoothing": -0.1}, {"limit": 0.5}])
def test_arguments_out_of_range_are_refused(weights: Tensor, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="smoothing"):
        FavorHardCases(weights, **wrong)
