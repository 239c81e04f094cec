"""Validation during training, which finds the best weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import list_data_collate
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from torch import Tensor, nn

from renalseg.errors import ConfigError
from renalseg.inference.inferers import AutocastInferer
from renalseg.runtime.staging import complete_file
from renalseg.synthesis.patient import CaseStream
from renalseg.training.checkpoints import BEST, save_whole
from renalseg.training.distributed import rank
from renalseg.training.patch_scores import PatchScore, PatchScores
from renalseg.training.sources import load_patients

SHOWN = "validation.npz"
_SEED = 202_611  # of the validation alone
_SHOWN_EACH = 3


def make_validation(
    *,
    draw: Callable[..., CaseStream[Any]],
    source: str | Path | Sequence[str | Path],
    structures: Sequence[str],
    count: int,
    every: int | None,
    batch_size: int,
    load: Callable[..., Sequence[Any]] = load_patients,
) -> Validation | None:
    """Makes a validation on patches of held-out patients, identical in every training.

    Args:
        draw: Makes the stream of training cases from given `anatomies` and `seed`.
        source: As for `renalseg.training.sources.load_patients`, whose validation split it is.
        structures: Names, each structure within the one before, as the network gives them:
            [kidney], [tumor] or [kidney, tumor]; see `renalseg.training.patch_scores.to_masks`.
        count: Patches.
        every: Epochs from one validation to the next; the last epoch is validated too.
            None or 0: no validation.
        batch_size: Patches per batch.
        load: Loads what the stream draws from, given `source` and `split`.

    Returns:
        The validation; None where there is none, and in all processes but the first.
    """
    if not every or rank() != 0:
        return None
    if count < 1:
        raise ConfigError(f"Expected at least one patch to validate on, got {count}")
    stream = draw(anatomies=load(source, split="validation"), seed=_SEED)
    return Validation(FixedBatches(stream, count, batch_size), structures, every)


class FixedBatches:
    """The first cases of a stream, drawn at first use and then kept.

    Args:
        cases: With `image` and `label`.
        count: How many.
        batch_size: Of each batch but the last, which may be smaller.
    """

    def __init__(self, cases: CaseStream[Any], count: int, batch_size: int) -> None:
        self.cases = cases
        self.count = count
        self.batch_size = batch_size
        self._batches: list[dict[str, Tensor]] = []

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(self.count / self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Batches of `image` and `label`, (B, C, *size)."""
        if not self._batches:
            stream = islice(self.cases, self.count)
            while cases := list(islice(stream, self.batch_size)):
                batch = list_data_collate(cases)
                kept = {key: torch.as_tensor(batch[key]) for key in ("image", "label")}
                self._batches.append(kept)
        return iter(self._batches)


class Validation:
    """Scores a network every few epochs, and keeps its best weights.

    Writes best.pt, a state dict, and validation.npz, slices of the worst and the best patches.

    Args:
        batches: Of `image` and `label`.
        structures: Names, as for `PatchScores`.
        every: Epochs from one validation to the next.
    """

    def __init__(self, batches: FixedBatches, structures: Sequence[str], every: int) -> None:
        self.batches = batches
        self.scores = PatchScores(structures)
        self.every = every
        self.best = -math.inf
        self.best_epoch = 0

    def follow(
        self, trainer: Engine, network: nn.Module, output_dir: Path, keep: bool = True
    ) -> None:
        """Validates after the epochs of a trainer and puts the Dice into its `state.metrics`.

        Args:
            trainer: MONAI's.
            network: What is scored: what is trained, or its moving average.
            output_dir: Gets the files.
            keep: Whether the best weights go to best.pt; otherwise something else chooses them.
        """
        settings: Any = trainer.state
        evaluator = SupervisedEvaluator(
            device=settings.device,
            val_data_loader=self.batches,
            network=network,
            inferer=AutocastInferer(SimpleInferer()),
            decollate=False,
            val_handlers=[self.scores],
        )
        evaluator.logger.setLevel("WARNING")  # silences its line for each run

        def validate(engine: Engine) -> None:
            state: Any = engine.state
            last = state.epoch == state.max_epochs or engine.should_terminate
            if state.epoch % self.every == 0 or last:
                evaluator.run()
                metrics = self.scores.metrics()
                state.metrics.update(metrics)
                if "dice" not in metrics:
                    engine.logger.warning("All validation patches are empty: raise val_cases")
                elif metrics["dice"] > self.best:
                    self.best, self.best_epoch = metrics["dice"], state.epoch
                    if keep:
                        save_whole(network.state_dict(), output_dir / BEST)
                    self._save_shown(output_dir / SHOWN)

        trainer.add_event_handler(Events.EPOCH_COMPLETED, validate)

    def state_dict(self) -> dict[str, float]:
        """Returns the state for a checkpoint."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restores the state of a checkpoint."""
        self.best, self.best_epoch = state["best"], int(state["best_epoch"])

    def _save_shown(self, path: Path) -> None:
        patches = worst_and_best(self.scores.patches, _SHOWN_EACH)
        with complete_file(path) as file:
            np.savez_compressed(
                file,
                image=np.stack([patch.image.float().numpy() for patch in patches]),
                label=np.stack([patch.label.numpy() for patch in patches]),
                pred=np.stack([patch.pred.numpy() for patch in patches]),
                dice=np.array([patch.dice for patch in patches]),
                structures=np.array(self.scores.structures),
            )


def worst_and_best(patches: Sequence[PatchScore], each: int) -> list[PatchScore]:
    """The `each` worst, then the `each` best nonempty patches, by rising Dice."""
    rising = sorted((p for p in patches if not math.isnan(p.dice)), key=lambda p: p.dice)
    return [*rising[:each], *rising[each:][-each:]]
