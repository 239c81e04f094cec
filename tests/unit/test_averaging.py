from __future__ import annotations

import pytest
from ignite.engine import Engine
from torch import nn

from renalseg.errors import ConfigError
from renalseg.training.averaging import WeightAverage


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
    assert follow(0.75, [4.0, 8.0]).module.weight.item() == pytest.approx(5.0)


def test_running_statistics_are_averaged_too() -> None:
    network = nn.BatchNorm1d(1)
    average = WeightAverage(network, 0.5)
    engine = Engine(lambda _, value: network.running_mean.fill_(value))
    average.attach(engine)
    engine.run([2.0, 4.0])
    assert average.module.running_mean.item() == pytest.approx(3.0)


def test_the_weights_themselves_are_not_saved_with_their_average() -> None:
    assert set(follow(0.5, [1.0]).state_dict()) == {"n_averaged", "module.weight"}


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ConfigError, match=r"0\.998"):
        WeightAverage(nn.Linear(1, 1), decay)
