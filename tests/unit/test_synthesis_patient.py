from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from renalseg.synthesis.patches import SyntheticPatches
from renalseg.synthesis.patient import CaseStream
from tests.factories.anatomies import box_anatomy


class Numbers(CaseStream[int]):
    """Gives the number of the anatomy alone."""

    def draw(self, generator: Generator) -> int:
        return self.draw_patient(generator)


def first(stream: CaseStream[Any], count: int) -> list[Any]:
    return [case for case, _ in zip(stream, range(count), strict=False)]


def test_a_seed_gives_the_same_stream_and_another_seed_another() -> None:
    streams = [Numbers([box_anatomy()] * 8, seed=seed) for seed in (0, 0, 1)]
    one, same, other = (first(stream, 20) for stream in streams)
    assert one == same != other


def test_anatomies_are_drawn_by_their_weights() -> None:
    stream = Numbers([box_anatomy()] * 3)
    stream.weights.copy_(torch.tensor([0.0, 3.0, 1.0]))
    drawn = first(stream, 400)
    assert set(drawn) == {1, 2}
    assert 240 < drawn.count(1) < 360


def test_worker_processes_see_new_weights() -> None:
    assert Numbers([box_anatomy()] * 2).weights.is_shared()


def test_cases_are_transformed() -> None:
    stream = SyntheticPatches(
        [box_anatomy()], (8, 8, 8), (4.0, 4.0, 4.0), transform=lambda case: case["case"] + 10
    )
    assert first(stream, 2) == [10, 10]
