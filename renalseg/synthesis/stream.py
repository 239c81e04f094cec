"""Base of the endless streams of training cases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Generator
from torch.utils.data import IterableDataset, get_worker_info

from renalseg.synthesis.patient import Patient, as_patient
from renalseg.synthesis.tissues import Anatomy

Drawn = TypeVar("Drawn")


class CaseStream(IterableDataset[Any], Generic[Drawn], ABC):
    """Endless training cases, drawn from patients and transformed.

    Args:
        anatomies: What to draw from: patients, or anatomies whose CT is drawn.
        transform: From a case as it is drawn to what the network trains on; None leaves it.
        seed: Start of the random stream; each worker gets its own.

    Attributes:
        patients: What cases are drawn from.
        weights: How often each patient is drawn, (number of patients,), in memory that the
            worker processes share.
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

    def __iter__(self) -> Iterator[Any]:
        """Transformed cases without end, other ones in each worker."""
        worker = get_worker_info()
        generator = Generator().manual_seed(self.seed + 7919 * (worker.id if worker else 0))
        while True:
            case = self.draw(generator)
            yield case if self.transform is None else self.transform(case)

    @abstractmethod
    def draw(self, generator: Generator) -> Drawn:
        """One case."""

    def draw_patient(self, generator: Generator) -> int:
        """The number of the patient of a case."""
        return int(torch.multinomial(self.weights, 1, generator=generator))
