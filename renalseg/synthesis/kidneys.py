"""Training pairs of kidneys, for a network that sees the boxes of both kidneys at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from torch import Generator, Tensor

from renalseg.components import Box, bounding_box, components
from renalseg.labels import BACKGROUND
from renalseg.synthesis.appearance import PHASE_SHARES
from renalseg.synthesis.deformation import Deformation
from renalseg.synthesis.patient import CaseStream, Patient, Piece, as_patient, weights_of
from renalseg.synthesis.tissues import Anatomy

Item = dict[str, Any]

_ROOM_MM = 20.0  # around a kidney, so that the deformed kidney stays within the piece
_ROOM = 1.2


class SyntheticKidneys(CaseStream[list[Item]]):
    """Endless pairs of kidneys of one patient and one scan, in random order.

    Args:
        anatomies: What to draw from: patients, or anatomies whose CT is drawn.
        roi_size: Voxels along R, A, S in which a kidney and its surroundings are drawn.
        transform: Applied to a pair: two items with `image` (1, X, Y, Z) HU, `label` and `kidney`,
            its mask, cropped to the box of the kidney. One kidney comes as two equal items.
        seed: Start of the random stream; each worker gets its own.
        deformation: Of the pieces, as for `renalseg.synthesis.deformation.draw_grid`.
        real: Share of the pairs from real CTs, as for `weights_of`.
        small_tumors: How much more often real CTs with small tumors are drawn, likewise.
    """

    def __init__(
        self,
        anatomies: Sequence[Anatomy | Patient],
        roi_size: Sequence[int],
        transform: Callable[[list[Item]], Any] | None = None,
        seed: int = 0,
        deformation: Deformation | None = None,
        real: float | None = None,
        small_tumors: float = 1.0,
    ) -> None:
        patients = [as_patient(one) for one in anatomies]
        super().__init__([one for one in patients if one.kidneys], transform, seed)
        self.weights = weights_of(self.patients, real, small_tumors).share_memory_()
        self.roi_size = tuple(roi_size)
        self.deformation = deformation

    def draw(self, generator: Generator) -> list[Item]:
        """One pair."""
        patient = self.patients[self.draw_patient(generator)]
        order = torch.randperm(len(patient.kidneys), generator=generator).tolist()
        places = [self._place(patient, patient.kidneys[k]) for k in order]
        centers, spacings = [center for center, _ in places], [spacing for _, spacing in places]
        pieces = patient.pieces(
            centers, self.roi_size, spacings, generator, PHASE_SHARES, self.deformation
        )
        items = [_crop(piece) for piece in pieces]
        return items if len(items) == 2 else items * 2

    def _place(self, patient: Patient, box: Box) -> tuple[Tensor, list[float]]:
        """Center, in voxels of the patient, and spacing of a piece with a kidney's box in it."""
        voxels = torch.tensor([[part.start, part.stop - 1] for part in box]).float()
        extent = (voxels[:, 1] - voxels[:, 0] + 1) * torch.tensor(patient.spacing)
        spacing = (_ROOM * extent + _ROOM_MM) / torch.tensor(self.roi_size)
        return voxels.mean(dim=1), spacing.tolist()


def _crop(piece: Piece) -> Item:
    """The box of the largest kidney in a piece, and the mask of all kidney in that box."""
    label = piece.label
    numbered, _ = components(label.numpy() != BACKGROUND)
    box = bounding_box(numbered == 1)
    if box is None:  # deformed out of the piece, which is rare
        box = (slice(0, label.shape[0]), slice(0, label.shape[1]), slice(0, label.shape[2]))
    affine = torch.diag(torch.tensor([*piece.spacing, 1.0], dtype=torch.float64))
    values = {"image": piece.image, "label": label, "kidney": (label != BACKGROUND).to(torch.uint8)}
    return {k: MetaTensor(v[box][None], affine=affine) for k, v in values.items()}
