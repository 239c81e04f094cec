"""Data loader and trainer that all bundles share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn

from renalseg.data.case_lists import Fold
from renalseg.inference.inferers import AutocastInferer, training_dtype
from renalseg.synthesis.patient import CaseStream
from renalseg.training.checkpoints import resume, saver
from renalseg.training.distributed import bare, parallel, rank
from renalseg.training.history import History
from renalseg.training.record import write_record
from renalseg.training.stability import SkipBrokenUpdates, WeightAverage
from renalseg.training.tracking import track
from renalseg.training.validation import Validation
from renalseg.training.whole_cts import WholeCTs


def make_loader(cases: CaseStream[Any], batch_size: int, workers: int | None = None) -> DataLoader:
    """Batches of an endless stream of cases, drawn in worker processes.

    Args:
        cases: The stream.
        batch_size: Cases of a batch.
        workers: Processes; 0 draws in the process that trains, None is `default_workers`.
    """
    workers = default_workers() if workers is None else workers
    cases.batch_size = batch_size
    return DataLoader(
        cases,
        batch_size=batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def default_workers() -> int:
    """Returns how many processes draw cases: one, or all processors but one for a GPU.

    Trainings of several processes on one machine, as torchrun starts them, share its processors.
    """
    if not torch.cuda.is_available():
        return 1
    share = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, share - 1)


def make_trainer(
    *,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    loss: Callable[..., Tensor],
    data: Iterable[Any],
    max_epochs: int,
    epoch_length: int,
    device: torch.device,
    output_dir: str | Path,
    inferer: Inferer | None = None,
    train_handlers: Sequence[Any] = (),
    validation: Validation | None = None,
    whole: WholeCTs | None = None,
    ema: float | None = None,
    mlflow: str | None = None,
    inference: Mapping[str, Any] | None = None,
    source: str | Path | Sequence[str | Path] = (),
    fold: Fold | None = None,
) -> SupervisedTrainer:
    """A trainer in mixed precision that logs, steps its schedule, validates, saves, and resumes.

    Args:
        network: On `device` already. Several processes that `renalseg.training.distributed.start`
            joined train it together.
        optimizer: Of the parameters of `network`.
        scheduler: Stepped after every iteration; or a handler with a state, such as
            `renalseg.training.schedules.LossPlateau`.
        loss: Function of (logits, label).
        data: Batches with `image` and `label`, endless or longer than an epoch. Those of a
            `CaseStream` go on where a resumed training stopped.
        max_epochs: When to stop.
        epoch_length: Iterations of an epoch.
        device: Where training runs.
        output_dir: Gets after each epoch checkpoint.pt, history.csv and the TensorBoard events,
            best.pt whenever a validation is the best so far, and summary.png at the end; a
            checkpoint.pt that is there already is resumed from.
        inferer: Runs the network on a batch; None runs it in the half precision of the device.
        train_handlers: Further MONAI handlers; those with a state are saved and resumed.
        validation: Finds the best weights by patches.
        whole: Finds them by whole CTs instead. Without both, only the last ones are kept.
        ema: Decay of a moving average of the weights, such as 0.998, which is then validated and
            exported in place of the weights; None keeps none.
        mlflow: Tracking URI of MLflow, or a folder; None for none.
        inference: What an export writes into inference.yaml, see
            `renalseg.training.record.write_record`; None: the training is not to be exported.
        source: What it trains on, for the card of the exported bundle.
        fold: Whose cases it holds out, for the validation of that bundle.

    Raises:
        ConfigError: The checkpoint does not fit the settings, or MLflow is not installed.
    """
    scaled = training_dtype(device) == torch.float16  # gradients would vanish without a scale
    torch.backends.cudnn.benchmark = True  # all patches of a training have the same size
    network = parallel(network)
    trainer = SupervisedTrainer(
        device=device,
        max_epochs=max_epochs,
        train_data_loader=data,
        network=network,
        optimizer=optimizer,
        loss_function=loss,
        inferer=inferer or AutocastInferer(SimpleInferer(), training=True),
        epoch_length=epoch_length,
        optim_set_to_none=True,
        non_blocking=True,
        train_handlers=[*train_handlers, SkipBrokenUpdates(network), _steps_of(scheduler)],
        amp=scaled,
        amp_kwargs={"dtype": torch.float16} if scaled else None,
    )
    parts = {"network": bare(network), "optimizer": optimizer, "scheduler": scheduler}
    parts["trainer"] = trainer
    parts |= {type(one).__name__: one for one in train_handlers if hasattr(one, "state_dict")}
    if scaled:
        parts["scaler"] = trainer.scaler
    output_dir = Path(output_dir)
    if rank() == 0:
        output_dir.mkdir(parents=True, exist_ok=True)
        if inference is not None:
            write_record(output_dir, inference, source, fold)
        parts |= _keep_track(trainer, bare(network), output_dir, validation, whole, ema)
        track(trainer, output_dir, epoch_length, mlflow)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, saver(output_dir, parts))
        trainer.add_event_handler(Events.COMPLETED, lambda: _summarize(output_dir))
    resume(trainer, output_dir, parts, max_epochs * epoch_length)
    stream = getattr(data, "dataset", None)
    if isinstance(stream, CaseStream):
        trainer.add_event_handler(Events.STARTED, _go_on, stream)  # after what resumes
    return trainer


def _go_on(trainer: SupervisedTrainer, stream: CaseStream[Any]) -> None:
    stream.start = trainer.state.iteration


def _steps_of(scheduler: Any) -> Any:
    if hasattr(scheduler, "attach"):
        return scheduler
    return LrScheduleHandler(scheduler, print_lr=False, epoch_level=False)


def _keep_track(
    trainer: SupervisedTrainer,
    network: nn.Module,
    output_dir: Path,
    validation: Validation | None,
    whole: WholeCTs | None,
    ema: float | None,
) -> dict[str, Any]:
    """Attaches average, validations and history; returns those that a checkpoint saves."""
    parts: dict[str, Any] = {}
    if ema is not None:
        parts["average"] = average = WeightAverage(network, ema)
        average.attach(trainer)
        network = average.module
    if validation is not None:
        validation.follow(trainer, network, output_dir, keep=whole is None)
        parts["validation"] = validation
    if whole is not None:
        whole.follow(trainer, network, output_dir)
        parts["whole"] = whole
    parts["history"] = history = History(output_dir)
    history.attach(trainer)
    return parts


def _summarize(output_dir: Path) -> None:
    from renalseg.training.summary import save_summary

    save_summary(output_dir)
