from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ignite.engine import Engine, Events

from renalseg.errors import InputError
from renalseg.training.history import History, best_of, read_history


def follow(history: History, losses: list[list[float]], dice: dict[int, float]) -> None:
    """Runs epochs with the given losses, and validations after some of them."""
    stream = iter([value for epoch in losses for value in epoch])
    engine: Any = Engine(lambda engine, batch: [{"loss": next(stream)}])
    engine.optimizer = SimpleNamespace(param_groups=[{"lr": 0.5}])

    def validate(engine: Engine) -> None:
        if engine.state.epoch in dice:
            engine.state.metrics["dice"] = dice[engine.state.epoch]

    engine.add_event_handler(Events.EPOCH_COMPLETED, validate)
    history.attach(engine)
    engine.run(range(len(losses[0])), max_epochs=len(losses))


def test_each_epoch_has_its_mean_loss_and_the_learning_rate(tmp_path: Path) -> None:
    follow(History(tmp_path), [[1.0, 3.0], [0.5, 0.5]], {})
    rows = read_history(tmp_path)
    assert [(row["epoch"], row["loss"], row["learning_rate"]) for row in rows] == [
        (1, 2.0, 0.5),
        (2, 0.5, 0.5),
    ]


def test_only_epochs_with_a_validation_have_a_dice(tmp_path: Path) -> None:
    follow(History(tmp_path), [[1.0]] * 3, {2: 0.75})
    assert [row.get("dice") for row in read_history(tmp_path)] == [None, 0.75, None]


def test_a_loss_that_is_no_number_does_not_count(tmp_path: Path) -> None:
    follow(History(tmp_path), [[1.0, float("nan"), 2.0]], {})
    assert read_history(tmp_path)[0]["loss"] == 1.5


def test_a_resumed_training_keeps_the_epochs_before(tmp_path: Path) -> None:
    first, second = History(tmp_path), History(tmp_path)
    follow(first, [[1.0], [2.0]], {})
    second.load_state_dict(first.state_dict())
    follow(second, [[3.0]], {})
    assert [row["loss"] for row in read_history(tmp_path)] == [1.0, 2.0, 3.0]


def test_the_best_epoch_is_the_first_with_the_highest_dice() -> None:
    rows = [{"epoch": 1.0}, {"epoch": 2.0, "dice": 0.8}, {"epoch": 3.0, "dice": 0.8}]
    assert best_of(rows) == rows[1]
    assert best_of(rows[:1]) is None


def test_a_folder_without_a_training_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        read_history(tmp_path)
