"""Checkpoints: saving, resuming, and exporting weights to a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.engines import Trainer
from monai.handlers import CheckpointLoader

from renalseg.errors import ConfigError
from renalseg.runtime.staging import complete_file

LAST = "checkpoint.pt"
BEST = "best.pt"


def save_whole(state: dict[str, Any], path: Path) -> None:
    """Saves a file atomically, so that a kill or a loss of power leaves the old one or the new."""
    with complete_file(path) as file:
        torch.save(state, file)


def resume(trainer: Trainer, output_dir: Path, parts: dict[str, Any], iterations: int) -> None:
    """Resumes a trainer from checkpoint.pt, if there is one.

    Args:
        trainer: MONAI's.
        output_dir: Of the training.
        parts: Objects with a `state_dict`, by their names in the checkpoint. Those that the
            checkpoint lacks start from scratch.
        iterations: Of the whole training.

    Raises:
        ConfigError: The learning rate follows one cycle that ends earlier.
    """
    path = output_dir / LAST
    if not path.exists():
        return
    stored = torch.load(path, map_location="cpu", weights_only=True)
    steps = stored.get("scheduler", {}).get("total_steps")
    if steps is not None and iterations > steps:
        raise ConfigError(
            f"Expected at most {steps} iterations (epochs x epoch_length), with which the cycle of "
            f"the learning rate in {path} ends, got {iterations}. To train longer, start another "
            f"cycle from its weights: --start_from {output_dir / BEST} --output_dir ANOTHER"
        )
    known = {name: part for name, part in parts.items() if name in stored}
    CheckpointLoader(str(path), known, map_location=trainer.state.device).attach(trainer)


def saver(output_dir: Path, parts: dict[str, Any]) -> Callable[[], None]:
    """A function that writes checkpoint.pt, from which `resume` continues."""

    def save() -> None:
        save_whole({name: part.state_dict() for name, part in parts.items()}, output_dir / LAST)

    return save


def export_weights(output_dir: str | Path, destination: str | Path, *, last: bool = False) -> Path:
    """Writes the network of a training run as float16, the form that a bundle ships.

    Exports the best weights (best.pt), or else the last ones (checkpoint.pt). If a moving average
    was kept, its weights are exported in both cases.

    Args:
        output_dir: Of the training.
        destination: The bundle's models/model.pt.
        last: Whether to export the last weights even if there are better ones.

    Raises:
        ConfigError: Neither file exists.
    """
    best, checkpoint = Path(output_dir) / BEST, Path(output_dir) / LAST
    if best.is_file() and not last:
        weights = torch.load(best, map_location="cpu", weights_only=True)
    elif checkpoint.is_file():
        weights = _last_weights(torch.load(checkpoint, map_location="cpu", weights_only=True))
    else:
        raise ConfigError(f"Expected {LAST} of a training in {output_dir}, found none")
    half = {key: w.half() if w.is_floating_point() else w for key, w in weights.items()}
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    torch.save(half, destination)
    return destination


def join_weights(members: Sequence[Path], destination: Path) -> Path:
    """Joins the weights of networks to those of their `renalseg.networks.Ensemble`.

    Args:
        members: Files of state dicts.
        destination: Gets the state dict of the ensemble.
    """
    loaded = [torch.load(path, map_location="cpu", weights_only=True) for path in members]
    joined = {f"members.{i}.{k}": w for i, one in enumerate(loaded) for k, w in one.items()}
    torch.save(joined, destination)
    return destination


def _last_weights(stored: dict[str, Any]) -> dict[str, torch.Tensor]:
    if "average" not in stored:
        weights: dict[str, torch.Tensor] = stored["network"]
        return weights
    prefix = "module."
    average = stored["average"].items()
    return {key.removeprefix(prefix): w for key, w in average if key.startswith(prefix)}
