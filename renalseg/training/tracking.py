"""Progress of a training: log lines, a progress bar, TensorBoard and MLflow."""

from __future__ import annotations

import importlib.util
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from monai.handlers import StatsHandler, TensorBoardStatsHandler, from_engine
from tqdm.contrib.logging import logging_redirect_tqdm

from renalseg.errors import ConfigError
from renalseg.runtime.progress import bar_wanted

_loss = from_engine("loss", first=True)


def track(trainer: Engine, output_dir: Path, epoch_length: int, mlflow: str | None = None) -> None:
    """Shows the losses of a MONAI trainer and what its `state.metrics` hold after each epoch.

    Args:
        trainer: The trainer; handlers that set metrics are already attached to it.
        output_dir: Gets the events of TensorBoard, and names the run in MLflow.
        epoch_length: Iterations of an epoch, of which five get a line.
        mlflow: Tracking URI of MLflow, or None.

    Raises:
        ConfigError: MLflow is requested but not installed.
    """
    stats = StatsHandler(
        output_transform=_loss, iteration_log=lambda _, i: i % max(1, epoch_length // 5) == 0
    )
    stats.attach(trainer)
    TensorBoardStatsHandler(log_dir=str(output_dir), output_transform=_loss).attach(trainer)
    if mlflow is not None:
        _mlflow_handler(mlflow, output_dir).attach(trainer)
    if bar_wanted():
        show_bar(trainer, [logging.root, stats.logger])


def show_bar(trainer: Engine, loggers: list[logging.Logger]) -> None:
    """Shows a bar on standard error for each epoch; log lines are written above it."""
    kept = ExitStack()
    lines = logging_redirect_tqdm(loggers)

    def give_up(engine: Engine, error: BaseException) -> None:
        kept.close()
        raise error  # which ignite leaves to such a handler

    trainer.add_event_handler(Events.STARTED, lambda: kept.enter_context(lines))
    trainer.add_event_handler(Events.COMPLETED, lambda: kept.close())
    trainer.add_event_handler(Events.EXCEPTION_RAISED, give_up)
    bar = ProgressBar(desc="epoch", ncols=80)
    bar.attach(trainer, output_transform=lambda output: {"loss": float(_loss(output))})


def _mlflow_handler(uri: str, output_dir: Path) -> Any:
    if importlib.util.find_spec("mlflow") is None:
        raise ConfigError(
            f"Expected the package mlflow to track in {uri}, found none: "
            "pip install 'renalseg[mlflow]', or leave out --mlflow"
        )
    from monai.handlers import MLFlowHandler

    if "://" not in uri:  # for a folder, its database: MLflow has dropped its folder format
        folder = Path(uri).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{folder / 'mlflow.db'}"
    return MLFlowHandler(
        tracking_uri=uri,
        experiment_name="renalseg",
        run_name=output_dir.name,
        output_transform=_loss,
        tag_name="loss",
        close_on_complete=True,
    )
