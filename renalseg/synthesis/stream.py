"""What all endless streams of training cases share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Generator
from torch.utils.data import IterableDataset, get_worker_info

from renalseg.synthesis.tissues import Anatomy

Drawn = TypeVar("Drawn")


class CaseStream(IterableDataset[Any], Generic[Drawn], ABC):
    """Endless training cases, drawn from anatomies and transformed.

    Args:
        anatomies: What to draw from.
        transform: From a case as it is drawn to what the network trains on; None leaves it.
        seed: Start of the random stream; each worker gets its own.

    Attributes:
        weights: How often each anatomy is drawn, (number of anatomies,), in memory that the
            worker processes share.
    """

    def __init__(
        self,
        anatomies: Sequence[Anatomy],
        transform: Callable[[Drawn], Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.anatomies = anatomies
        self.transform = transform
        self.seed = seed
        self.weights = torch.ones(len(anatomies)).share_memory_()

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

    def draw_anatomy(self, generator: Generator) -> int:
        """The number of the anatomy of a case."""
        return int(torch.multinomial(self.weights, 1, generator=generator))
