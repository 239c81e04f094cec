"""The parts of training that every bundle shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import (
    CheckpointLoader,
    CheckpointSaver,
    LrScheduleHandler,
    MeanDice,
    StatsHandler,
    TensorBoardStatsHandler,
    ValidationHandler,
    from_engine,
)
from monai.inferers import Inferer
from monai.transforms import Transform
from torch import Tensor, nn

from renalseg.errors import ConfigError


def make_trainer(
    *,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    loss: Callable[..., Tensor],
    inferer: Inferer,
    data: Iterable[Any],
    epochs: int,
    epoch_length: int,
    device: torch.device,
    output_dir: str | Path,
    validation: SupervisedEvaluator | None = None,
    validate_every: int = 1,
) -> SupervisedTrainer:
    """A trainer that logs, steps its schedule, validates, saves, and resumes where it stopped.

    Args:
        network: On `device` already.
        optimizer: Of the parameters of `network`.
        scheduler: Stepped after every iteration.
        loss: Of (logits, label).
        inferer: Runs the network.
        data: Batches with `image` and `label`, endless or longer than an epoch.
        epochs: When to stop.
        epoch_length: Iterations of an epoch.
        device: Where training runs.
        output_dir: Gets checkpoint.pt after each epoch and the TensorBoard events; a
            checkpoint.pt that is there already is resumed from.
        validation: Run every `validate_every` epochs.
        validate_every: In epochs.
    """
    output_dir = Path(output_dir)
    state: dict[str, Any] = {"network": network, "optimizer": optimizer, "scheduler": scheduler}
    handlers: list[Any] = [
        LrScheduleHandler(scheduler, print_lr=False, epoch_level=False),
        StatsHandler(
            output_transform=from_engine("loss", first=True),
            iteration_log=lambda _, i: i % max(1, epoch_length // 5) == 0,
        ),
        TensorBoardStatsHandler(
            log_dir=str(output_dir), output_transform=from_engine("loss", first=True)
        ),
    ]
    if validation is not None:
        handlers.append(ValidationHandler(validate_every, validation))
    trainer = SupervisedTrainer(
        device=device,
        max_epochs=epochs,
        train_data_loader=data,
        network=network,
        optimizer=optimizer,
        loss_function=loss,
        inferer=inferer,
        epoch_length=epoch_length,
        optim_set_to_none=True,
        train_handlers=handlers,
    )
    state["trainer"] = trainer
    checkpoint = output_dir / "checkpoint.pt"
    if checkpoint.exists():
        CheckpointLoader(str(checkpoint), state).attach(trainer)
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: _save_checkpoint(checkpoint, state)
    )
    return trainer


def make_validation(
    *,
    network: nn.Module,
    inferer: Inferer,
    data: Iterable[Any],
    postprocessing: Transform,
    device: torch.device,
    output_dir: str | Path,
) -> SupervisedEvaluator:
    """An evaluator that keeps the weights with the best mean Dice as best.pt.

    Args:
        network: The network in training.
        inferer: Runs the network.
        data: Batches with `image` and `label`.
        postprocessing: Turns `pred` and `label` into one-hot masks.
        device: Where it runs.
        output_dir: Gets best.pt.
    """
    return SupervisedEvaluator(
        device=device,
        val_data_loader=data,
        network=network,
        inferer=inferer,
        postprocessing=postprocessing,
        key_val_metric={
            "val_mean_dice": MeanDice(
                include_background=False, output_transform=from_engine(["pred", "label"])
            )
        },
        val_handlers=[
            StatsHandler(iteration_log=False),
            TensorBoardStatsHandler(log_dir=str(output_dir), iteration_log=False),
            CheckpointSaver(
                str(output_dir),
                {"network": network},
                save_key_metric=True,
                key_metric_filename="best.pt",
            ),
        ],
    )


def export_weights(output_dir: str | Path, destination: str | Path) -> Path:
    """Writes the network of a training run as float16, the form that a bundle ships.

    Args:
        output_dir: Of the training; best.pt is taken, or checkpoint.pt where there is none.
        destination: The bundle's models/model.pt.

    Raises:
        ConfigError: Neither file is there.
    """
    for name in ("best.pt", "checkpoint.pt"):
        source = Path(output_dir) / name
        if source.exists():
            break
    else:
        raise ConfigError(f"Expected best.pt or checkpoint.pt in {output_dir}, found neither")
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
