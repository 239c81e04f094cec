from __future__ import annotations

import pytest
from ignite.engine import Engine
from monai.losses import DeepSupervisionLoss, DiceLoss

from renalseg.training.supervision import DecaySupervision


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
