from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from renalseg.errors import ConfigError
from renalseg.inference.bundle import load_network
from renalseg.synthesis.patient import CaseStream
from renalseg.training import export_weights, make_loader, make_trainer
from renalseg.training.distributed import seed
from renalseg.training.schedules import FavorHardCases
from renalseg.training.trainer import default_workers
from tests.factories.anatomies import box_anatomy


def test_exported_weights_are_half_precision(tmp_path: Path) -> None:
    network = torch.nn.BatchNorm3d(2)
    torch.save({"network": network.state_dict(), "trainer": {}}, tmp_path / "checkpoint.pt")
    path = export_weights(tmp_path, tmp_path / "bundle" / "models" / "model.pt")
    weights = torch.load(path, weights_only=True)
    assert weights["weight"].dtype == torch.float16
    assert weights["num_batches_tracked"].dtype == torch.int64


def test_exported_weights_fit_their_network(tmp_path: Path) -> None:
    network = torch.nn.Conv3d(1, 2, 1)
    torch.save({"network": network.state_dict()}, tmp_path / "checkpoint.pt")
    path = export_weights(tmp_path, tmp_path / "model.pt")
    loaded = load_network(torch.nn.Conv3d(1, 2, 1), path, torch.device("cpu"), "torch")
    torch.testing.assert_close(loaded.state_dict(), network.state_dict(), atol=1e-3, rtol=1e-3)


def test_a_folder_without_a_training_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=str(tmp_path)):
        export_weights(tmp_path, tmp_path / "model.pt")


def test_the_best_weights_are_exported_and_the_last_ones_on_demand(tmp_path: Path) -> None:
    torch.save({"network": {"weight": torch.zeros(1)}}, tmp_path / "checkpoint.pt")
    torch.save({"weight": torch.ones(1)}, tmp_path / "best.pt")
    exported = [
        torch.load(export_weights(tmp_path, tmp_path / "model.pt", last=last), weights_only=True)
        for last in (False, True)
    ]
    assert [weights["weight"].item() for weights in exported] == [1.0, 0.0]


def test_of_averaged_weights_the_average_is_exported(tmp_path: Path) -> None:
    average = {"n_averaged": torch.tensor(3), "module.weight": torch.ones(1)}
    torch.save(
        {"network": {"weight": torch.zeros(1)}, "average": average}, tmp_path / "checkpoint.pt"
    )
    path = export_weights(tmp_path, tmp_path / "model.pt")
    assert torch.load(path, weights_only=True) == {"weight": torch.ones(1)}


def train(output_dir: Path, epochs: int = 2, cycle: int | None = None, **settings: Any) -> Any:
    """Trains one weight for two iterations an epoch; gives the trainer."""
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 1, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    batch = {"image": torch.ones(2, 1, 2, 2, 2), "label": torch.ones(2, 1, 2, 2, 2)}
    settings = {"data": [batch] * 2} | settings
    scheduler = (
        torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        if cycle is None
        else torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=cycle)
    )
    trainer = make_trainer(
        network=network,
        optimizer=optimizer,
        scheduler=scheduler,
        loss=torch.nn.functional.mse_loss,
        max_epochs=epochs,
        epoch_length=2,
        device=torch.device("cpu"),
        output_dir=output_dir,
        **settings,
    )
    trainer.run()
    return trainer


def test_a_training_leaves_its_state_its_history_and_a_picture(tmp_path: Path) -> None:
    train(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"checkpoint.pt", "history.csv", "summary.png"}
    assert not any(name.startswith(".") for name in names)


def test_the_average_of_the_weights_is_kept_and_resumed(tmp_path: Path) -> None:
    train(tmp_path, ema=0.5)
    train(tmp_path, epochs=3, ema=0.5)
    stored = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert stored["average"]["n_averaged"] == 6
    assert not torch.equal(stored["average"]["module.weight"], stored["network"]["weight"])


def test_a_checkpoint_without_the_average_is_resumed_too(tmp_path: Path) -> None:
    train(tmp_path)
    assert train(tmp_path, epochs=3, ema=0.5).state.iteration == 6


def test_one_cycle_goes_on_to_its_end(tmp_path: Path) -> None:
    stopped = tmp_path / "checkpoint.pt"
    train(tmp_path, epochs=1, cycle=5)
    assert stopped.is_file()
    assert train(tmp_path, epochs=2, cycle=5).state.iteration == 4


class Cases(CaseStream[dict[str, Any]]):
    """Single voxels, by whose number the second patient is harder than the first."""

    def draw(self, generator: torch.Generator) -> dict[str, Any]:
        case = self.draw_patient(generator)
        image = torch.rand((1, 1, 1, 1), generator=generator)
        return {"image": image, "label": image + 3 * case, "case": case}


def seen(output_dir: Path, *epochs: int) -> tuple[list[float], Tensor]:
    """The images of a training in runs that each go on to an epoch; the weights at its end."""
    images: list[float] = []
    for last in epochs:
        stream = Cases([box_anatomy()] * 2)

        def note(engine: Engine) -> None:
            images.extend(float(item["image"]) for item in engine.state.batch)

        train(
            output_dir,
            epochs=last,
            data=make_loader(stream, batch_size=2, workers=0),
            train_handlers=[FavorHardCases(stream.weights), Noter(note)],
        )
    return images, stream.weights


class Noter:
    """Calls a function after each iteration."""

    def __init__(self, note: Callable[[Engine], None]) -> None:
        self.note = note

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.note)


def test_a_resumed_training_sees_what_an_uninterrupted_one_would(tmp_path: Path) -> None:
    whole, hard = seen(tmp_path / "whole", 4)
    resumed, also_hard = seen(tmp_path / "resumed", 1, 3, 4)
    assert len(set(whole)) == 16
    assert resumed == whole
    assert torch.equal(hard, also_hard)
    assert hard[1] > hard[0]


def test_other_weights_to_start_from_give_other_cases(tmp_path: Path) -> None:
    for name in ("one.pt", "other.pt"):
        (tmp_path / name).write_text(name)
    seeds = [seed(), seed(tmp_path / "one.pt"), seed(tmp_path / "other.pt")]
    assert len(set(seeds)) == 3
    assert seed(tmp_path / "one.pt") == seeds[1]


def test_more_epochs_than_one_cycle_has_are_refused_with_what_to_do(tmp_path: Path) -> None:
    train(tmp_path, epochs=2, cycle=5)
    with pytest.raises(ConfigError, match=r"at most 5 iterations.*got 6.*--start_from"):
        train(tmp_path, epochs=3, cycle=7)


@pytest.mark.parametrize(
    ("gpu", "processors", "expected"), [(False, 8, 1), (True, 8, 7), (True, 1, 1)]
)
def test_a_gpu_is_fed_by_all_processors_but_one(
    gpu: bool, processors: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    assert default_workers() == expected


def test_processes_of_one_machine_share_its_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert default_workers() == 3
