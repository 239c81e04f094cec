"""A table with the figures of each epoch of a training."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.handlers import from_engine

from renalseg.errors import InputError
from renalseg.runtime.staging import complete_file

HISTORY = "history.csv"

Row = dict[str, float]


class History:
    """Keeps a row for each epoch and rewrites history.csv after each.

    A row has the epoch, the mean loss, the learning rate at its end, its seconds, the number of
    skipped updates, and the engine's `state.metrics`, such as the Dice of a validation. The
    learning rate is added to those metrics, for handlers that log them.

    Args:
        output_dir: Gets the file.
    """

    def __init__(self, output_dir: Path) -> None:
        self.path = output_dir / HISTORY
        self.rows: list[Row] = []
        self._losses: list[float] = []
        self._start = 0.0

    def attach(self, engine: Engine) -> None:
        """Follows a MONAI trainer; attach it after the handlers that set the metrics."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end)

    def state_dict(self) -> dict[str, list[Row]]:
        """Returns the state for a checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, list[Row]]) -> None:
        """Restores the state of a checkpoint."""
        self.rows = list(state["rows"])

    def _begin(self, engine: Engine) -> None:
        engine.state.metrics = {}
        self._losses.clear()
        self._start = time.perf_counter()

    def _collect(self, engine: Engine) -> None:
        loss = float(from_engine("loss", first=True)(engine.state.output))
        if math.isfinite(loss):
            self._losses.append(loss)

    def _end(self, engine: Engine) -> None:
        trainer: Any = engine
        mean = sum(self._losses) / len(self._losses) if self._losses else math.nan
        rate = float(trainer.optimizer.param_groups[0]["lr"])
        row = {"epoch": engine.state.epoch, "loss": mean, "learning_rate": rate}
        row["seconds"] = time.perf_counter() - self._start
        row["skipped_updates"] = getattr(engine.state, "skipped_updates", 0)
        self.rows.append(row | engine.state.metrics)
        engine.state.metrics["learning_rate"] = rate
        self._write()

    def _write(self) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with complete_file(self.path) as path, path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in self.rows)


def read_history(output_dir: Path) -> list[Row]:
    """Reads the rows of a training, without missing values.

    Raises:
        InputError: The folder has no history.
    """
    path = output_dir / HISTORY
    if not path.is_file():
        raise InputError(f"Expected {HISTORY} of a training in {output_dir}, found none")
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def best_of(rows: Sequence[Row]) -> Row | None:
    """The first epoch with the best validation, by whole CTs or else by patches.

    None if no epoch was validated.
    """
    for name in ("cts", "dice"):
        validated = [row for row in rows if name in row]
        if validated:
            return max(validated, key=lambda row: row[name])
    return None
