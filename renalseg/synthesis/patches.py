"""Training patches: a deformed piece of a patient on a network's grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from renalseg.synthesis.appearance import PHASE_SHARES
from renalseg.synthesis.deformation import Deformation
from renalseg.synthesis.fields import chance, uniform
from renalseg.synthesis.patient import CaseStream, Patient, weights_of
from renalseg.synthesis.tissues import Anatomy, Tissue


class SyntheticPatches(CaseStream[dict[str, Any]]):
    """Endless pairs of CT patch and label.

    Args:
        anatomies: What to draw from: patients, or anatomies whose CT is drawn.
        roi_size: Voxels of a patch along R, A, S.
        spacing: mm along R, A, S of a patch: the grid of the network.
        spacing_to: For a network that works at the scanner's spacing: each patch draws its spacing
            between `spacing` and this, in plane and across slices separately.
        near_kidney: Share of the patches that are centered near a kidney.
        near_tumor: Share of those that are centered near a tumor.
        near_cyst: Share of the rest of them that are centered near a cyst.
        reach_mm: Maximum distance of the center from the drawn kidney voxel.
        seed: Start of the random stream; each worker gets its own.
        phases: Shares of the four contrast phases in drawn CTs; a real CT keeps its own.
        transform: From a patch to the network's input.
        whole_body: Each patch is the whole body, zoomed to `roi_size`; neither the spacings nor
            where a patch is centered then count.
        deformation: Of the patches, as for `renalseg.synthesis.deformation.draw_grid`.
        real: Share of the patches from real CTs, as for `weights_of`.
        small_tumors: How much more often real CTs with small tumors are drawn, likewise.
    """

    def __init__(
        self,
        anatomies: Sequence[Anatomy | Patient],
        roi_size: Sequence[int],
        spacing: Sequence[float],
        near_kidney: float = 0.8,
        near_tumor: float = 0.5,
        reach_mm: float = 60.0,
        seed: int = 0,
        spacing_to: Sequence[float] | None = None,
        near_cyst: float = 0.0,
        phases: Sequence[float] = PHASE_SHARES,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        whole_body: bool = False,
        deformation: Deformation | None = None,
        real: float | None = None,
        small_tumors: float = 1.0,
    ) -> None:
        super().__init__(anatomies, transform, seed)
        self.weights = weights_of(self.patients, real, small_tumors).share_memory_()
        self.deformation = deformation
        self.whole_body = whole_body
        self.roi_size = tuple(roi_size)
        self.spacing = tuple(spacing)
        self.spacing_to = tuple(spacing_to) if spacing_to is not None else None
        self.near_kidney = near_kidney
        self.near_tumor = near_tumor
        self.near_cyst = near_cyst
        self.phases = tuple(phases)
        self.reach_mm = reach_mm
        self._landmarks = [patient.landmarks for patient in self.patients]

    def draw(self, generator: Generator) -> dict[str, Any]:
        """One patch: `image` (1, *roi_size) float32 HU, `label` (1, *roi_size) uint8, `case`."""
        i = self.draw_patient(generator)
        if self.whole_body:
            center, spacing = self._around_body(i)
        else:
            center, spacing = self._draw_center(i, generator), self.draw_spacing(generator)
        (piece,) = self.patients[i].pieces(
            [center], self.roi_size, [spacing], generator, self.phases, self.deformation
        )
        return {"image": piece.image[None], "label": piece.label[None], "case": i}

    def draw_spacing(self, generator: Generator) -> tuple[float, ...]:
        """The spacing of a patch, mm along R, A, S."""
        if self.spacing_to is None:
            return self.spacing
        in_slice, across = uniform(generator, 0.0, 1.0), uniform(generator, 0.0, 1.0)
        shares = (in_slice, in_slice, across)
        ends = zip(self.spacing, self.spacing_to, shares, strict=True)
        return tuple(low + (high - low) * share for low, high, share in ends)

    def _around_body(self, i: int) -> tuple[Tensor, tuple[float, ...]]:
        """Center, in voxels, and spacing of a patch that holds the body of patient `i`."""
        patient = self.patients[i]
        ends = torch.tensor([[part.start, part.stop] for part in patient.body]).float()
        extent = (ends[:, 1] - ends[:, 0]) * torch.tensor(patient.spacing)
        spacing = (extent / torch.tensor(self.roi_size)).tolist()
        return (ends.sum(dim=1) - 1) / 2, tuple(spacing)

    def _draw_center(self, i: int, generator: Generator) -> Tensor:
        """In voxels of patient `i`."""
        landmarks = self._landmarks[i]
        wanted, reach_mm = Tissue.VISCERAL, 0.0
        if chance(generator, self.near_kidney):
            wanted, reach_mm = Tissue.KIDNEY, self.reach_mm
            if chance(generator, self.near_tumor) and Tissue.TUMOR in landmarks:
                wanted = Tissue.TUMOR
            elif self.near_cyst and chance(generator, self.near_cyst):
                wanted = Tissue.CYST if Tissue.CYST in landmarks else Tissue.KIDNEY
        points = landmarks.get(wanted, landmarks[Tissue.VISCERAL])
        point = points[int(torch.randint(len(points), (), generator=generator))].float()
        offset = (2 * torch.rand(3, generator=generator) - 1) * reach_mm
        return point + offset / torch.tensor(self.patients[i].spacing)


class SliceStacks(SyntheticPatches):
    """Endless thin patches, an odd number of slices, whose center slice holds kidney.

    The arguments are those of `SyntheticPatches`.
    """

    def draw(self, generator: Generator) -> dict[str, Any]:
        """One stack: `image` (1, *roi_size) float32 HU, `label` (1, *roi_size) uint8, `case`."""
        while True:
            stack = super().draw(generator)
            if stack["label"][..., self.roi_size[2] // 2].any():
                return stack
