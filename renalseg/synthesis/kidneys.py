"""Training pairs of kidneys, for a network that sees the boxes of both at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Generator, Tensor

from renalseg.components import Box, bounding_box, components
from renalseg.labels import BACKGROUND
from renalseg.synthesis.appearance import draw_ct
from renalseg.synthesis.patches import deform
from renalseg.synthesis.stream import CaseStream
from renalseg.synthesis.tissues import Anatomy, label_of

Item = dict[str, Any]

_ROOM_MM = 20.0  # around a kidney, so that the deformed kidney still lies within the piece
_ROOM = 1.2
_MIN_VOXELS = 2000  # of an anatomy; smaller components are crumbs of a kidney


class SyntheticKidneys(CaseStream[list[Item]]):
    """Endless pairs of kidneys of one patient and one scan, in random order.

    Args:
        anatomies: What to draw from.
        roi_size: Voxels along R, A, S in which a kidney and its surroundings are drawn.
        transform: Applied to a pair: two items with `image` (1, X, Y, Z) HU, `label` and `kidney`,
            its mask, cropped to the box of the kidney. One kidney comes as two equal items.
        seed: Start of the random stream; each worker gets its own.
    """

    def __init__(
        self,
        anatomies: Sequence[Anatomy],
        roi_size: Sequence[int],
        transform: Callable[[list[Item]], Any] | None = None,
        seed: int = 0,
    ) -> None:
        pairs = [(anatomy, _kidney_boxes(anatomy)) for anatomy in anatomies]
        found = [(anatomy, boxes) for anatomy, boxes in pairs if boxes]
        super().__init__([anatomy for anatomy, _ in found], transform, seed)
        self.boxes = [boxes for _, boxes in found]
        self.roi_size = tuple(roi_size)

    def draw(self, generator: Generator) -> list[Item]:
        """One pair."""
        i = self.draw_anatomy(generator)
        anatomy, boxes = self.anatomies[i], self.boxes[i]
        order = torch.randperm(len(boxes), generator=generator).tolist()
        pieces = [self._deform(anatomy, boxes[k], generator) for k in order]
        items = [
            _crop(piece, image)
            for piece, image in zip(pieces, _draw_scan(pieces, generator), strict=True)
        ]
        return items if len(items) == 2 else items * 2

    def _deform(self, anatomy: Anatomy, box: Box, generator: Generator) -> Anatomy:
        voxels = torch.tensor([[part.start, part.stop - 1] for part in box]).float()
        extent = (voxels[:, 1] - voxels[:, 0] + 1) * torch.tensor(anatomy.spacing)
        spacing = (_ROOM * extent + _ROOM_MM) / torch.tensor(self.roi_size)
        return deform(anatomy, voxels.mean(dim=1), self.roi_size, spacing.tolist(), generator)


def _kidney_boxes(anatomy: Anatomy) -> list[Box]:
    """The boxes of the up to two kidneys, tumors included."""
    mask = label_of(anatomy.tissue).numpy() != BACKGROUND
    whole = bounding_box(mask)
    if whole is None:
        return []
    numbered, sizes = components(mask[whole])
    boxes = []
    for number in range(1, min(2, int((sizes >= _MIN_VOXELS).sum())) + 1):
        box = bounding_box(numbered == number)
        if box is not None:
            x, y, z = (
                slice(w.start + b.start, w.start + b.stop) for w, b in zip(whole, box, strict=True)
            )
            boxes.append((x, y, z))
    return boxes


def _draw_scan(pieces: Sequence[Anatomy], generator: Generator) -> tuple[Tensor, ...]:
    """HU of each piece, drawn as one volume: both kidneys have one phase and one scanner."""
    spacing = np.mean([piece.spacing for piece in pieces], axis=0).tolist()
    joined = Anatomy(
        torch.cat([piece.tissue for piece in pieces], dim=2),
        torch.cat([piece.depth for piece in pieces], dim=2),
        (spacing[0], spacing[1], spacing[2]),
    )
    return draw_ct(joined, generator).chunk(len(pieces), dim=2)


def _crop(piece: Anatomy, image: Tensor) -> Item:
    """The box of the largest kidney in a piece, and the mask of all that lies in the box."""
    label = label_of(piece.tissue)
    numbered, _ = components(label.numpy() != BACKGROUND)
    box = bounding_box(numbered == 1)
    if box is None:  # deformed out of the piece, which the room around it hardly allows
        box = (slice(0, label.shape[0]), slice(0, label.shape[1]), slice(0, label.shape[2]))
    affine = torch.diag(torch.tensor([*piece.spacing, 1.0], dtype=torch.float64))
    values = {"image": image, "label": label, "kidney": (label != BACKGROUND).to(torch.uint8)}
    return {k: MetaTensor(v[box][None], affine=affine) for k, v in values.items()}
