"""Patients, drawn or real, and the endless streams of training cases from them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import IterableDataset, get_worker_info

from renalseg.components import Box, Mask, bounding_box, components, within
from renalseg.labels import BACKGROUND
from renalseg.synthesis.appearance import draw_ct, draw_phase
from renalseg.synthesis.deformation import Deformation, deform
from renalseg.synthesis.fields import chance
from renalseg.synthesis.tissues import Anatomy, Tissue, label_of

Landmarks = Mapping[Tissue, Tensor]

CENTERS = (Tissue.KIDNEY, Tissue.TUMOR, Tissue.CYST, Tissue.VISCERAL)
_LANDMARKS = 2000  # of each tissue
_MIN_VOXELS = 2000  # of an anatomy; smaller components are fragments of a kidney
_SMALL_ML = 14.0  # a sphere of 3 cm
_AS_CYST = 0.3  # share of the scans whose tumors become cysts, so that shape reveals nothing
Drawn = TypeVar("Drawn")


class Piece(NamedTuple):
    """A deformed part of a patient on the grid of a patch.

    Attributes:
        image: (X, Y, Z) float32, HU, axes R, A, S.
        label: (X, Y, Z) uint8: 0 background, 1 kidney, 2 tumor.
        spacing: mm along x, y, z.
    """

    image: Tensor
    label: Tensor
    spacing: tuple[float, float, float]


class Patient(Protocol):
    """A patient from whom training cases are drawn, on a grid with axes R, A, S."""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mm along x, y, z of the patient's own grid."""

    @property
    def landmarks(self) -> Landmarks:
        """Some voxels, (n, 3), of each tissue of `CENTERS` that the patient has."""

    @property
    def kidneys(self) -> Sequence[Box]:
        """The boxes of up to two kidneys, tumors included, in voxels."""

    @property
    def body(self) -> Box:
        """The box of the body, in voxels."""

    @property
    def tumors_ml(self) -> Sequence[float]:
        """The volume of each tumor, ml; may be left empty for drawn patients."""

    def pieces(
        self,
        centers: Sequence[Tensor],
        roi_size: Sequence[int],
        spacings: Sequence[Sequence[float]],
        generator: Generator,
        phases: Sequence[float],
        deformation: Deformation | None = None,
    ) -> list[Piece]:
        """Deformed pieces of one scan of the patient.

        Args:
            centers: Where each piece is centered, in voxels of the patient.
            roi_size: Voxels of a piece.
            spacings: mm of each piece.
            generator: Source of all randomness.
            phases: Shares of the four contrast phases; a real scan keeps its own.
            deformation: As for `renalseg.synthesis.deformation.draw_grid`.
        """


class DrawnPatient:
    """An anatomy whose CT is drawn for every scan.

    Args:
        anatomy: Its tissues.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mm along x, y, z."""
        return self.anatomy.spacing

    @cached_property
    def landmarks(self) -> Landmarks:
        """Some voxels of each tissue that patches are centered on."""
        tissue = self.anatomy.tissue.numpy()
        return landmarks_of({kind: tissue == kind for kind in CENTERS})

    @cached_property
    def kidneys(self) -> Sequence[Box]:
        """The boxes of up to two kidneys."""
        return kidney_boxes(label_of(self.anatomy.tissue).numpy() != BACKGROUND, _MIN_VOXELS)

    @property
    def tumors_ml(self) -> Sequence[float]:
        """None: the tumors of the library are of all sizes already."""
        return ()

    @cached_property
    def body(self) -> Box:
        """The box of all that is neither air nor table."""
        tissue = self.anatomy.tissue.numpy()
        box = bounding_box((tissue != Tissue.AIR) & (tissue != Tissue.TABLE))
        x, y, z = (slice(0, n) for n in tissue.shape)
        return (x, y, z) if box is None else box

    def pieces(
        self,
        centers: Sequence[Tensor],
        roi_size: Sequence[int],
        spacings: Sequence[Sequence[float]],
        generator: Generator,
        phases: Sequence[float],
        deformation: Deformation | None = None,
    ) -> list[Piece]:
        """Deformed pieces, drawn as one volume: all have one phase and one scanner."""
        parts = [
            deform(self.anatomy, center, roi_size, spacing, generator, deformation)
            for center, spacing in zip(centers, spacings, strict=True)
        ]
        if chance(generator, _AS_CYST):
            parts = [_with_cysts_for_tumors(part) for part in parts]
        phase = draw_phase(generator, phases)
        images = draw_ct(_join(parts), generator, phase).chunk(len(parts), dim=2)
        return [
            Piece(image, label_of(part.tissue), part.spacing)
            for image, part in zip(images, parts, strict=True)
        ]


def as_patient(source: Anatomy | Patient) -> Patient:
    """The patient of an anatomy; returns a patient as it is."""
    return DrawnPatient(source) if isinstance(source, Anatomy) else source


def landmarks_of(masks: Mapping[Tissue, Mask]) -> dict[Tissue, Tensor]:
    """Up to a few thousand voxels, (n, 3), spread over each mask; none for an empty one."""
    found = {}
    for tissue, mask in masks.items():
        flat = np.flatnonzero(mask)
        if len(flat):
            flat = flat[:: max(1, len(flat) // _LANDMARKS)]
            found[tissue] = torch.from_numpy(np.stack(np.unravel_index(flat, mask.shape), axis=1))
    return found


def kidney_boxes(mask: Mask, min_voxels: int) -> list[Box]:
    """The boxes of the up to two largest components of a mask (X, Y, Z).

    Args:
        mask: Kidneys with their tumors.
        min_voxels: Smaller components are not kidneys.
    """
    whole = bounding_box(mask)
    if whole is None:
        return []
    numbered, sizes = components(mask[whole])
    boxes = []
    for number in range(1, min(2, int((sizes >= min_voxels).sum())) + 1):
        box = bounding_box(numbered == number)
        if box is not None:
            boxes.append(within(box, whole))
    return boxes


def _with_cysts_for_tumors(anatomy: Anatomy) -> Anatomy:
    tissue = anatomy.tissue
    cyst = torch.tensor(Tissue.CYST, dtype=tissue.dtype)
    return anatomy._replace(tissue=torch.where(tissue == Tissue.TUMOR, cyst, tissue))


def _join(parts: Sequence[Anatomy]) -> Anatomy:
    """Stacks parts of one shape along z."""
    if len(parts) == 1:
        return parts[0]
    x, y, z = np.mean([part.spacing for part in parts], axis=0).tolist()
    tissue = torch.cat([part.tissue for part in parts], dim=2)
    return Anatomy(tissue, torch.cat([part.depth for part in parts], dim=2), (x, y, z))


def weights_of(
    patients: Sequence[Patient], real: float | None = None, small_tumors: float = 1.0
) -> Tensor:
    """How often each patient is drawn, (number of patients,).

    Args:
        patients: Drawn and real ones.
        real: Share of the cases from real patients, where there are both kinds; None draws each
            patient equally often.
        small_tumors: How much more often a real patient with a tumor below 14 ml, a sphere of
            3 cm, is drawn.
    """
    weights = torch.tensor(
        [
            small_tumors if min(one.tumors_ml, default=math.inf) < _SMALL_ML else 1.0
            for one in patients
        ]
    )
    drawn = torch.tensor([isinstance(one, DrawnPatient) for one in patients], dtype=torch.bool)
    if real is not None and drawn.any() and not drawn.all():
        for kind, share in ((drawn, 1 - real), (~drawn, real)):
            weights[kind] *= len(patients) * share / weights[kind].sum()
    return weights


class CaseStream(IterableDataset[Any], Generic[Drawn], ABC):
    """Endless training cases, drawn from patients and transformed.

    The cases are numbered, and each follows from the seed, its number and the weights alone. So
    the same ones come from any number of workers, and a training that resumes gets those that it
    has not seen.

    Args:
        anatomies: What to draw from: patients, or anatomies whose CT is drawn.
        transform: From a drawn case to the network's input; None leaves it unchanged.
        seed: Of all randomness, that of the transform included.

    Attributes:
        patients: What cases are drawn from.
        weights: How often each patient is drawn, (number of patients,), in memory that the
            worker processes share.
        batch_size: Cases of a batch, which come from one worker.
        start: The number of the first batch.
    """

    def __init__(
        self,
        anatomies: Sequence[Anatomy | Patient],
        transform: Callable[[Drawn], Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.patients = [as_patient(one) for one in anatomies]
        self.transform = transform
        self.seed = seed
        self.weights = torch.ones(len(self.patients)).share_memory_()
        self.batch_size = 1
        self.start = 0

    def __iter__(self) -> Iterator[Any]:
        """Transformed cases without end; workers take turns by batches."""
        worker = get_worker_info()
        first, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for batch in count(self.start + first, workers):
            for number in range(batch * self.batch_size, (batch + 1) * self.batch_size):
                yield self.numbered(number)

    def numbered(self, number: int) -> Any:
        """The transformed case of a number."""
        words = np.random.SeedSequence((self.seed, number)).generate_state(2).tolist()
        case = self.draw(Generator().manual_seed(words[0]))
        if self.transform is None:
            return case
        set_state = getattr(self.transform, "set_random_state", None)
        if set_state is not None:
            set_state(seed=words[1])
        return self.transform(case)

    @abstractmethod
    def draw(self, generator: Generator) -> Drawn:
        """One case."""

    def draw_patient(self, generator: Generator) -> int:
        """The number of the patient of a case."""
        return int(torch.multinomial(self.weights, 1, generator=generator))
