"""The parts of training that every bundle shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.handlers import (
    CheckpointLoader,
    LrScheduleHandler,
    StatsHandler,
    TensorBoardStatsHandler,
    from_engine,
)
from monai.inferers import SimpleInferer
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from renalseg.errors import ConfigError
from renalseg.inferers import AutocastInferer
from renalseg.training.distributed import bare, rank


def make_loader(cases: IterableDataset[Any], batch_size: int, workers: int) -> DataLoader:
    """Batches of an endless stream of cases, drawn in worker processes.

    Args:
        cases: The stream.
        batch_size: Cases of a batch.
        workers: Processes; 0 draws in the process that trains.
    """
    return DataLoader(
        cases, batch_size=batch_size, num_workers=workers, persistent_workers=workers > 0
    )


def make_trainer(
    *,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    loss: Callable[..., Tensor],
    data: Iterable[Any],
    epochs: int,
    epoch_length: int,
    device: torch.device,
    output_dir: str | Path,
    handlers: Sequence[Any] = (),
) -> SupervisedTrainer:
    """A trainer in mixed precision that logs, steps its schedule, saves, and resumes.

    Args:
        network: On `device` already.
        optimizer: Of the parameters of `network`.
        scheduler: Stepped after every iteration; or a handler with a state, such as
            `renalseg.training.schedules.LossPlateau`.
        loss: Of (logits, label).
        data: Batches with `image` and `label`, endless or longer than an epoch.
        epochs: When to stop.
        epoch_length: Iterations of an epoch.
        device: Where training runs.
        output_dir: Gets checkpoint.pt after each epoch and the TensorBoard events; a
            checkpoint.pt that is there already is resumed from.
        handlers: Further MONAI handlers.
    """
    output_dir = Path(output_dir)
    state: dict[str, Any] = {
        "network": bare(network),
        "optimizer": optimizer,
        "scheduler": scheduler,
    }
    train_handlers: list[Any] = [
        *handlers,
        scheduler
        if hasattr(scheduler, "attach")
        else LrScheduleHandler(scheduler, print_lr=False, epoch_level=False),
        StatsHandler(
            output_transform=from_engine("loss", first=True),
            iteration_log=lambda _, i: i % max(1, epoch_length // 5) == 0,
        ),
        TensorBoardStatsHandler(
            log_dir=str(output_dir), output_transform=from_engine("loss", first=True)
        ),
    ]
    trainer = SupervisedTrainer(
        device=device,
        max_epochs=epochs,
        train_data_loader=data,
        network=network,
        optimizer=optimizer,
        loss_function=loss,
        inferer=AutocastInferer(SimpleInferer()),
        epoch_length=epoch_length,
        optim_set_to_none=True,
        train_handlers=train_handlers,
    )
    state["trainer"] = trainer
    checkpoint = output_dir / "checkpoint.pt"
    if checkpoint.exists():
        CheckpointLoader(str(checkpoint), state).attach(trainer)
    if rank() == 0:
        trainer.add_event_handler(
            Events.EPOCH_COMPLETED, lambda engine: _save_checkpoint(checkpoint, state)
        )
    return trainer


def export_weights(output_dir: str | Path, destination: str | Path) -> Path:
    """Writes the network of a training run as float16, the form that a bundle ships.

    Args:
        output_dir: Of the training, with its checkpoint.pt.
        destination: The bundle's models/model.pt.

    Raises:
        ConfigError: There is no checkpoint.
    """
    source = Path(output_dir) / "checkpoint.pt"
    if not source.is_file():
        raise ConfigError(f"Expected checkpoint.pt of a training in {output_dir}, found none")
    weights = torch.load(source, map_location="cpu", weights_only=False)["network"]
    half = {key: w.half() if w.is_floating_point() else w for key, w in weights.items()}
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    torch.save(half, destination)
    return destination


def _save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    partial = path.with_suffix(".part")
    torch.save({name: part.state_dict() for name, part in state.items()}, partial)
    partial.replace(path)
