from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.engines import SupervisedTrainer
from monai.transforms import RandGaussianNoised
from torch import Generator, Tensor, nn

from renalseg.errors import ConfigError
from renalseg.synthesis.library import save_anatomy
from renalseg.synthesis.patient import CaseStream, DrawnPatient
from renalseg.training import validation as module
from renalseg.training.patch_scores import PatchScore
from renalseg.training.validation import (
    FixedBatches,
    Validation,
    make_validation,
    worst_and_best,
)
from tests.factories.anatomies import box_anatomy


class Cubes(CaseStream[dict[str, Tensor]]):
    """Cubes of noise, whose brighter half is labeled."""

    drawn = 0

    def draw(self, generator: Generator) -> dict[str, Tensor]:
        self.drawn += 1
        image = torch.randn((1, 4, 4, 4), generator=generator)
        return {"image": image, "label": (image > 0).byte()}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for i in range(3):
        save_anatomy(tmp_path / f"box_{i}.npz", box_anatomy(kidneys=1 + i % 2))
    return tmp_path


def make(library: Path, **settings: Any) -> Validation | None:
    noise = RandGaussianNoised(keys="image", prob=0.5)
    return make_validation(
        draw=lambda **given: Cubes(transform=noise, **given),
        source=library,
        **{"structures": ["kidney"], "count": 3, "every": 1, "batch_size": 2} | settings,
    )


def images(validation: Validation | None) -> Tensor:
    assert validation is not None
    return torch.cat([batch["image"] for batch in validation.batches])


def test_patients_that_do_not_train_are_validated_on(library: Path) -> None:
    validation = make(library)
    assert validation is not None
    (held_out,) = validation.batches.cases.patients
    assert isinstance(held_out, DrawnPatient)
    assert torch.equal(held_out.anatomy.tissue, box_anatomy(kidneys=1).tissue)


def test_two_trainings_are_validated_on_the_same_cases(library: Path) -> None:
    torch.testing.assert_close(images(make(library)), images(make(library)), rtol=0, atol=0)


@pytest.mark.parametrize("every", [0, None])
def test_validation_can_be_left_out(library: Path, every: int | None) -> None:
    assert make(library, every=every) is None


def test_one_process_of_several_validates(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert make(library) is None


def test_no_case_is_refused(library: Path) -> None:
    with pytest.raises(ConfigError, match="got 0"):
        make(library, count=0)


def test_cases_are_drawn_once_and_in_batches() -> None:
    cases = Cubes([])
    batches = FixedBatches(cases, 3, 2)
    assert [len(batch["image"]) for batch in batches] == [2, 1]
    assert len(batches) == len(list(batches)) == 2
    assert cases.drawn == 3


class Pairs(Cubes):
    """Each case comes as a list, as pairs of kidneys do."""

    def draw(self, generator: Generator) -> Any:
        return [super().draw(generator)]


def test_cases_may_come_in_lists() -> None:
    (plain,), (listed,) = FixedBatches(Cubes([]), 2, 2), FixedBatches(Pairs([]), 2, 2)
    torch.testing.assert_close(listed["image"], plain["image"])


class Shift(nn.Module):
    """Adds its weight to the image: the label of `Cubes` is found best with 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


def follow(validation: Validation, shifts: Sequence[float], output_dir: Path) -> list[float | None]:
    """Dice after epochs in which the network shifts by these; None where it was not scored."""
    network = Shift()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    trainer: Any = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=len(shifts),
        train_data_loader=[{"image": torch.zeros(1), "label": torch.zeros(1)}],
        network=network,
        optimizer=optimizer,
        loss_function=lambda pred, _: pred,
    )
    dice: list[float | None] = []

    def shift(engine: Any) -> None:
        nn.init.constant_(network.weight, shifts[engine.state.epoch - 1])
        engine.state.metrics = {}

    trainer.add_event_handler(module.Events.EPOCH_STARTED, shift)
    validation.follow(trainer, network, output_dir)
    trainer.add_event_handler(
        module.Events.EPOCH_COMPLETED, lambda e: dice.append(e.state.metrics.get("dice"))
    )
    trainer.run()
    return dice


def cubes(every: int = 1) -> Validation:
    return Validation(FixedBatches(Cubes([]), 4, 2), ["kidney"], every)


def best_shift(output_dir: Path) -> float:
    return float(torch.load(output_dir / "best.pt", weights_only=True)["weight"])


def test_the_best_weights_are_kept(tmp_path: Path) -> None:
    first, second, third = follow(cubes(), [3.0, 0.0, 1.0], tmp_path)
    assert second == 1.0
    assert first is not None
    assert third is not None
    assert first < third < 1
    assert best_shift(tmp_path) == 0.0


def test_every_second_epoch_and_the_last_are_scored(tmp_path: Path) -> None:
    dice = follow(cubes(every=2), [0.0, 0.0, 0.0], tmp_path)
    assert [value is None for value in dice] == [True, False, False]


def test_a_resumed_training_keeps_better_weights_of_before(tmp_path: Path) -> None:
    first, second = cubes(), cubes()
    follow(first, [0.0], tmp_path)
    second.load_state_dict(first.state_dict())
    follow(second, [2.0], tmp_path)
    assert best_shift(tmp_path) == 0.0
    assert second.best_epoch == 1


def test_slices_of_the_patches_are_kept(tmp_path: Path) -> None:
    follow(cubes(), [0.0], tmp_path)
    with np.load(tmp_path / "validation.npz") as stored:
        assert stored["image"].shape == (4, 4, 4)
        assert stored["label"].shape == stored["pred"].shape == (4, 1, 4, 4)
        assert stored["dice"].tolist() == [1.0] * 4


def patch(overlap: int, total: int) -> PatchScore:
    empty = torch.zeros(1)
    return PatchScore(torch.tensor([overlap]), torch.tensor([total]), empty, empty, empty)


def test_the_worst_come_first_and_the_empty_not_at_all() -> None:
    patches = [patch(n, 2 * 10) for n in (5, 1, 9, 3, 7)] + [patch(0, 0)]
    assert [p.dice for p in worst_and_best(patches, 2)] == pytest.approx([0.1, 0.3, 0.7, 0.9])


def test_few_patches_are_shown_once_each() -> None:
    assert len(worst_and_best([patch(1, 4), patch(2, 4)], 3)) == 2


class Empty(Cubes):
    """Nothing is labeled, and nothing bright."""

    def draw(self, generator: Generator) -> dict[str, Tensor]:
        return {"image": -torch.ones(1, 4, 4, 4), "label": torch.zeros(1, 4, 4, 4)}


def test_where_there_is_nothing_to_find_no_weights_are_the_best(tmp_path: Path) -> None:
    validation = Validation(FixedBatches(Empty([]), 2, 2), ["kidney"], every=1)
    assert follow(validation, [0.0], tmp_path) == [None]
    assert not (tmp_path / "best.pt").exists()
