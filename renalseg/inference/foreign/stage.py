"""A model from elsewhere as a stage of a method."""

from __future__ import annotations

import weakref
from typing import Any, Protocol

import torch
from monai.data import MetaTensor

from renalseg.components import Box, bounding_box, grow_box
from renalseg.errors import ConfigError
from renalseg.grids import Grid
from renalseg.inference.bundle import empty_prediction
from renalseg.inference.foreign.structures import Structures
from renalseg.labels import BACKGROUND, KIDNEY, LABELS, TUMOR


class ForeignModel(Protocol):
    """A model from elsewhere.

    Attributes:
        name: For messages.
        structures: What it finds.
    """

    name: str
    structures: Structures

    def __call__(self, image: MetaTensor) -> MetaTensor:
        """Segments a volume (1, X, Y, Z) in HU: labels of `renalseg.labels`, uint8 on its grid."""
        ...


class Remembering:
    """A model that two stages share: it looks at an image once.

    Args:
        model: The model.
    """

    def __init__(self, model: ForeignModel) -> None:
        self.name, self.structures = model.name, model.structures
        self._model = model
        self._image: Any = lambda: None
        self._labels: MetaTensor | None = None

    def __call__(self, image: MetaTensor) -> MetaTensor:
        """Segments a volume, as the model does."""
        if self._labels is None or self._image() is not image:
            self._labels = self._model(image)
            self._image = weakref.ref(image, self._forget)
        return self._labels

    def _forget(self, image: object) -> None:
        self._labels = None


class ForeignStage:
    """Gives a model from elsewhere the contract of a bundle.

    As a localizer it sees the whole volume, and all that it finds is kidney. As a tumor stage it
    sees the box around the kidneys, and nothing is found outside. Where it has no label for kidney,
    the mask of the localizer is kidney.

    Args:
        model: The model.
        localizer: Whether it is a localizer.
        margin_mm: Of the box around the kidneys; None for a tumor stage that sees everything.

    Raises:
        ConfigError: It does not find what the stage is for.
    """

    def __init__(self, model: ForeignModel, *, localizer: bool, margin_mm: float | None) -> None:
        kind = KIDNEY if localizer else TUMOR
        if kind not in model.structures:
            raise ConfigError(
                f"Expected a label for {LABELS[kind].name} in {model.name}, found none: say which "
                f"it is with --labels, as in {LABELS[kind].name}=1"
            )
        self.model = model
        self.margin_mm = margin_mm

    def prepare(self) -> None:
        """Does nothing: nothing is compiled."""

    def __call__(self, image: MetaTensor, kidney: MetaTensor | None = None) -> MetaTensor:
        """Segments a volume.

        Args:
            image: HU (1, X, Y, Z) float32 on any grid, affine in RAS mm.
            kidney: The localizer's mask on the same grid, if this is a tumor stage.

        Returns:
            Labels (1, X, Y, Z) uint8 on the grid of the image; of a localizer, 1 = kidney.
        """
        if kidney is None:
            found = self.model(image).as_tensor() != BACKGROUND
            return MetaTensor(found.to(torch.uint8), affine=image.affine)
        result = empty_prediction(image)
        box = self._box(image, kidney)
        if box is None:
            return result
        place = (slice(None), *box)
        labels = self._labels(image, box)
        if KIDNEY not in self.model.structures:
            inside = kidney.as_tensor().cpu()[place] != BACKGROUND
            labels = labels.masked_fill(inside & (labels == BACKGROUND), KIDNEY)
        result[place] = labels
        return result

    def _labels(self, image: MetaTensor, box: Box) -> torch.Tensor:
        """The labels (1, x, y, z) in a box."""
        place = (slice(None), *box)
        if self.margin_mm is None or isinstance(self.model, Remembering):
            return self.model(image).as_tensor()[place]
        affine = torch.from_numpy(Grid.of(image).crop(box).affine)
        return self.model(MetaTensor(image.as_tensor()[place], affine=affine)).as_tensor()

    def _box(self, image: MetaTensor, kidney: MetaTensor) -> Box | None:
        """The box around all kidneys with the margin; None without kidneys."""
        if self.margin_mm is None:
            x, y, z = (slice(0, size) for size in image.shape[1:])
            return (x, y, z)
        box = bounding_box(kidney.as_tensor()[0].cpu().numpy() != BACKGROUND)
        grid = Grid.of(image)
        return None if box is None else grow_box(box, self.margin_mm / grid.spacing, grid.shape)
