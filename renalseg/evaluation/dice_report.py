"""MONAI handlers of the bundles."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from renalseg.cases import SUFFIX, load_nifti
from renalseg.errors import InputError
from renalseg.evaluation.overlap import kits19_dice
from renalseg.runtime.harmless import csv_cell


class DiceReport:
    """Scores each segmented case against its label and writes metrics.csv and metrics.json.

    A case without a structure in prediction and label has no Dice: its cell is empty, and the mean
    leaves it out.

    Args:
        label_dir: ``<case>.nii.gz`` on the grid of the case: 1 kidney, 2 tumor.
        output_dir: Where the two files go.
        structures: Which of "kidney" (with its tumors) and "tumor" are scored.
    """

    def __init__(
        self,
        label_dir: str | Path,
        output_dir: str | Path,
        structures: Sequence[str] = ("kidney", "tumor"),
    ) -> None:
        self.label_dir = Path(label_dir)
        self.output_dir = Path(output_dir)
        self.structures = tuple(structures)
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Scores after each case, reports after the last."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._score)
        engine.add_event_handler(Events.COMPLETED, self._report)

    def _start(self, engine: Engine) -> None:
        self.rows = []

    def _score(self, engine: Engine) -> None:
        output: Any = engine.state.output
        if output["pred"] is None:
            return  # the case could not be read
        path = self.label_dir / (output["name"] + SUFFIX)
        if not path.is_file():
            raise InputError(f"Expected the label of case {output['name']} at {path}, found none")
        scores = kits19_dice(output["pred"], load_nifti(path, torch.uint8))
        row = {"case": output["name"], **{name: scores[name] for name in self.structures}}
        self.rows.append(row)
        engine.logger.info("Dice of %s", row)

    def _report(self, engine: Engine) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        with (self.output_dir / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["case", *self.structures])
            writer.writeheader()
            for row in self.rows:
                cells = {k: "" if v != v else csv_cell(v) for k, v in row.items()}  # NaN: empty
                writer.writerow(cells)
        summary = {name: self._summarize(name) for name in self.structures}
        (self.output_dir / "metrics.json").write_text(
            json.dumps(summary, indent=2) + "\n", encoding="utf-8"
        )
        engine.logger.info("Dice over %d cases: %s", len(self.rows), summary)

    def _summarize(self, name: str) -> dict[str, float | int | None]:
        values = np.array([row[name] for row in self.rows], dtype=float)
        values = values[~np.isnan(values)]
        if not len(values):
            return {"cases": 0, "mean": None, "min": None, "max": None}
        return {
            "cases": len(values),
            "mean": round(float(values.mean()), 4),
            "min": round(float(values.min()), 4),
            "max": round(float(values.max()), 4),
        }
