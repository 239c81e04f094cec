"""Validation on whole CTs during training, by the inference that ships."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from renalseg.data.case_lists import Fold, LabeledCase
from renalseg.errors import ConfigError
from renalseg.inference.methods import read_yaml
from renalseg.runtime.checksums import check_manifest
from renalseg.training.checkpoints import BEST, save_whole
from renalseg.training.distributed import rank
from renalseg.training.limits import bundle_with, measure
from renalseg.training.sources import real_cases

_TRIED = "validating.pt"


def make_whole_cts(
    *,
    bundle: str | Path,
    inference: Mapping[str, Any],
    source: str | Path | Sequence[str | Path],
    fold: Fold | None,
    every: int | None,
    count: int,
    device: torch.device,
) -> WholeCTs | None:
    """Makes a validation on whole CTs.

    Args:
        bundle: Folder of the bundle that is trained.
        inference: What the training sets in its inference.yaml.
        source: As for `renalseg.training.sources.load_patients`; the real cases of its validation
            split are used.
        fold: Says which those are, likewise.
        every: Epochs from one validation to the next; None or 0: no validation.
        count: Cases at most, spread over all.
        device: Where inference runs.

    Returns:
        The validation; None where there is none, and in all processes but the first.

    Raises:
        ConfigError: `count` is not positive, or the bundle differs from its manifest.
        InputError: No real case validates.
    """
    if not every or rank() != 0:
        return None
    if count < 1:
        raise ConfigError(f"Expected at least one whole CT to validate on, got {count}")
    check_manifest(Path(bundle))  # now, and not at the first validation
    cases = [case for _, case in real_cases(source, "validation", fold)]
    return WholeCTs(Path(bundle), inference, cases[:: -(-len(cases) // count)], every, device)


class WholeCTs:
    """Measures the bundle that a training would export, every few epochs, and keeps the best.

    Inference is that of the product, with the metrics of KiTS: of a localizer the Dice of the
    kidneys; of a tumor bundle, within the kidneys of the labels, the Dice of the tumors, and the F1
    of finding them, each with the best limits of postprocessing (`choose_limits`). The weights with
    the highest mean of both go to best.pt. Takes the place of patches in that choice.

    Args:
        bundle: Folder of the bundle that is trained.
        inference: What the training sets in its inference.yaml.
        cases: That do not train.
        every: Epochs from one validation to the next; the last epoch is validated too.
        device: Where inference runs.
    """

    def __init__(
        self,
        bundle: Path,
        inference: Mapping[str, Any],
        cases: Sequence[LabeledCase],
        every: int,
        device: torch.device,
    ) -> None:
        self.bundle = bundle
        # torch, because OpenVINO would convert and store each state of the network
        self.inference = {**inference, "engine": "torch"}
        self.cases = list(cases)
        self.every = every
        self.device = device
        self.settings = read_yaml(bundle / "configs" / "inference.yaml")
        self.best = -math.inf
        self.best_epoch = 0

    def follow(self, trainer: Engine, network: nn.Module, output_dir: Path) -> None:
        """Validates after epochs of a trainer, and puts the scores into its `state.metrics`.

        The scores are `cts`, by which the best weights are chosen, and what `Outcome.scores` has,
        as `cts_tumor_dice` and so on.

        Args:
            trainer: MONAI's.
            network: What is measured: what is trained, or its moving average.
            output_dir: Gets best.pt.
        """

        def validate(engine: Engine) -> None:
            state: Any = engine.state
            last = state.epoch == state.max_epochs or engine.should_terminate
            if state.epoch % self.every and not last:
                return
            tried = output_dir / _TRIED
            save_whole(network.state_dict(), tried)
            make = bundle_with(self.bundle, self.device, self.inference, tried)
            outcome = measure(self.bundle.resolve().name, self.settings, [(make, self.cases)])
            engine.logger.info("Epoch %d: %s", state.epoch, outcome.text)
            state.metrics["cts"] = outcome.score
            state.metrics |= {f"cts_{name}": value for name, value in outcome.scores.items()}
            if outcome.score > self.best:
                self.best, self.best_epoch = outcome.score, state.epoch
                tried.replace(output_dir / BEST)
            tried.unlink(missing_ok=True)

        trainer.add_event_handler(Events.EPOCH_COMPLETED, validate)

    def state_dict(self) -> dict[str, float]:
        """Returns the state for a checkpoint."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restores the state of a checkpoint."""
        self.best, self.best_epoch = state["best"], int(state["best_epoch"])
