from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.engines import SupervisedTrainer
from torch import nn

from renalseg.errors import ConfigError, RenalSegError
from renalseg.training.stability import SkipBrokenUpdates, WeightAverage

NAN = float("nan")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.BatchNorm3d(1), nn.Conv3d(1, 1, 1))


def train(net: nn.Module, values: list[float], limit: int = 10) -> Any:
    """One iteration for each value, on an image of it; gives the trainer's state."""
    images = [{"image": torch.full((2, 1, 2, 2, 2), v), "label": torch.zeros(2)} for v in values]
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=images,
        network=net,
        optimizer=torch.optim.Adam(net.parameters(), lr=0.1),
        loss_function=lambda pred, _: (pred - 1).square().mean(),
        train_handlers=[SkipBrokenUpdates(net, limit)],
    )
    trainer.run()
    return trainer.state


def weights(net: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in net.state_dict().items()}


def test_an_iteration_with_a_gradient_that_is_no_number_changes_nothing() -> None:
    net, other = network(), network()
    train(net, [1.0, NAN])
    train(other, [1.0])
    for key, value in weights(net).items():
        torch.testing.assert_close(value, other.state_dict()[key], rtol=0, atol=0)


def test_a_sound_iteration_changes_the_weights() -> None:
    net = network()
    before = weights(net)
    train(net, [1.0])
    assert not torch.equal(net[1].bias, before["1.bias"])


def test_training_goes_on_after_a_broken_iteration_and_counts_it() -> None:
    net, other = network(), network()
    assert train(net, [1.0, NAN, 2.0]).skipped_updates == 1
    train(other, [1.0, 2.0])
    torch.testing.assert_close(net[1].bias, other[1].bias)


def test_too_many_in_a_row_end_the_training() -> None:
    with pytest.raises(RenalSegError, match=r"3 iterations in a row.*learning_rate"):
        train(network(), [1.0, NAN, NAN, NAN, 1.0], limit=2)


def test_single_ones_do_not_add_up() -> None:
    assert train(network(), [NAN, 1.0, NAN, 1.0, NAN, 1.0], limit=1).skipped_updates == 3


def follow(decay: float, values: list[float]) -> WeightAverage:
    """The average of a network whose only weight takes the values, iteration by iteration."""
    network = nn.Linear(1, 1, bias=False)

    def step(engine: Engine, value: float) -> None:
        nn.init.constant_(network.weight, value)

    average = WeightAverage(network, decay)
    engine = Engine(step)
    average.attach(engine)
    engine.run(values)
    return average


def test_it_starts_from_the_first_iteration() -> None:
    assert follow(0.9, [3.0]).module.weight.item() == 3.0


def test_the_past_counts_by_its_share() -> None:
    assert follow(0.75, [4.0] * 30 + [8.0]).module.weight.item() == pytest.approx(5.0)


def test_a_short_training_forgets_where_it_started() -> None:
    assert follow(0.999, [0.0] + [1.0] * 50).module.weight.item() == pytest.approx(1.0)


def test_running_statistics_are_averaged_too() -> None:
    network = nn.BatchNorm1d(1)
    average = WeightAverage(network, 0.5)
    engine = Engine(lambda _, value: network.running_mean.fill_(value))
    average.attach(engine)
    engine.run([2.0] * 10 + [4.0])
    assert average.module.running_mean.item() == pytest.approx(3.0)


def test_the_weights_themselves_are_not_saved_with_their_average() -> None:
    assert set(follow(0.5, [1.0]).state_dict()) == {"n_averaged", "module.weight"}


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ConfigError, match=r"0\.998"):
        WeightAverage(nn.Linear(1, 1), decay)
