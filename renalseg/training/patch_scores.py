"""Dice of a network on validation patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from renalseg.errors import ConfigError


@dataclass(frozen=True)
class PatchScore:
    """One patch, scored.

    Attributes:
        overlap: Voxels of each structure that prediction and label share, (S,).
        total: Voxels of each in the prediction plus those in the label, (S,).
        image: One slice (X, Y) of the network's input.
        label: The label of that slice, (S, X, Y) bool.
        pred: The prediction of that slice, (S, X, Y) bool.
    """

    overlap: Tensor
    total: Tensor
    image: Tensor
    label: Tensor
    pred: Tensor

    @property
    def dice(self) -> float:
        """Mean Dice of the structures in prediction or label; NaN where there is none."""
        return dice_of(self.overlap, self.total).nanmean().item()


class PatchScores:
    """Scores the patches that a MONAI evaluator processes.

    Args:
        structures: Names, each structure within the one before: kidney (with its tumors), tumor.

    Attributes:
        patches: Those of the last run.
    """

    def __init__(self, structures: Sequence[str]) -> None:
        self.structures = tuple(structures)
        self.patches: list[PatchScore] = []

    def attach(self, engine: Engine) -> None:
        """Starts over with each run of an evaluator that does not decollate its batches."""
        engine.add_event_handler(Events.STARTED, lambda: self.patches.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._score)

    def metrics(self) -> dict[str, float]:
        """Dice of each structure over all patches pooled, as `dice_<name>`, and their mean.

        Pooled because many patches hold only a sliver of a structure, or none: a few voxels would
        decide between a Dice of 0 and 1. A structure that no patch holds is left out.
        """
        overlap = torch.stack([patch.overlap for patch in self.patches]).sum(dim=0)
        total = torch.stack([patch.total for patch in self.patches]).sum(dim=0)
        dice = dice_of(overlap, total)
        each = {f"dice_{name}": value for name, value in zip(self.structures, dice, strict=True)}
        metrics = {"dice": dice.nanmean(), **each}
        return {name: value.item() for name, value in metrics.items() if not value.isnan()}

    def _score(self, engine: Engine) -> None:
        output: Any = engine.state.output
        images = output["image"]
        preds, labels = to_masks(output["pred"], output["label"], len(self.structures))
        for image, pred, label in zip(images, preds, labels, strict=True):
            overlap = (pred & label).flatten(1).sum(dim=1).cpu()
            total = (pred.flatten(1).sum(dim=1) + label.flatten(1).sum(dim=1)).cpu()
            image = image[len(image) // 2]  # the middle slice of a stack
            if image.ndim == 3:
                z = _telling_slice(label, pred)
                image, label, pred = image[..., z], label[..., z], pred[..., z]
            self.patches.append(PatchScore(overlap, total, image.cpu(), label.cpu(), pred.cpu()))


def dice_of(overlap: Tensor, total: Tensor) -> Tensor:
    """Dice of counts of voxels; NaN where neither prediction nor label has any."""
    return 2 * overlap.double() / total.double()


def to_masks(logits: Tensor, label: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Masks of the structures in the output of a network and in a label.

    Args:
        logits: (B, C, *size). C = count: a logit for each structure. C = count + 1: one for the
            background and for each structure without those within it.
        label: (B, 1, *size) with 0 for the background, then a value for each of the structures
            without those within it; or (B, count, *size) masks.
        count: Number of structures, each within the one before.

    Returns:
        Masks of prediction and label, (B, count, *size) bool.

    Raises:
        ConfigError: The logits have another number of channels.
    """
    channels = logits.shape[1]
    if channels == count:
        pred = logits > 0
    elif channels == count + 1:
        pred = _nested(logits.argmax(dim=1, keepdim=True), count)
    else:
        raise ConfigError(
            f"Expected {count} or {count + 1} channels from a network validated for {count} "
            f"structures, got {channels}: correct the structures of validation in train.yaml"
        )
    return pred, label > 0 if label.shape[1] == count else _nested(label, count)


def _nested(classes: Tensor, count: int) -> Tensor:
    return torch.cat([classes >= value for value in range(1, count + 1)], dim=1)


def _telling_slice(label: Tensor, pred: Tensor) -> int:
    """The slice with the largest area of the innermost structure present in (S, X, Y, Z) masks."""
    for mask in (*label.flip(0), *pred.flip(0)):
        if mask.any():
            return int(mask.sum(dim=(0, 1)).argmax())
    return label.shape[-1] // 2
