from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.transforms import RandShiftIntensityd
from torch import Generator, Tensor

from renalseg.components import components
from renalseg.synthesis.patches import SyntheticPatches
from renalseg.synthesis.patient import CaseStream, DrawnPatient, weights_of
from renalseg.training import make_loader
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


class Noise(CaseStream[dict[str, Tensor]]):
    """Gives a random number, to which its transform adds another."""

    def draw(self, generator: Generator) -> dict[str, Tensor]:
        return {"image": torch.rand(1, generator=generator)}


def batches(workers: int, start: int = 0, seed: int = 0) -> list[float]:
    stream = Noise([], RandShiftIntensityd("image", offsets=1.0, prob=0.5), seed)
    loader = make_loader(stream, batch_size=2, workers=workers)
    stream.start = start
    return torch.stack(
        [batch["image"] for batch, _ in zip(loader, range(5), strict=False)]
    ).tolist()


def test_the_same_cases_come_from_any_number_of_workers() -> None:
    alone = batches(workers=0)
    assert alone == batches(workers=1) == batches(workers=2)
    assert len({value for batch in alone for (value,) in batch}) == 10


def test_a_stream_goes_on_from_any_batch() -> None:
    assert batches(workers=0, start=2)[:3] == batches(workers=2)[2:]


def test_a_seed_decides_the_transform_too() -> None:
    assert batches(workers=0) == batches(workers=0) != batches(workers=0, seed=1)


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


def test_a_patch_can_be_the_whole_body() -> None:
    """Of 240 x 160 x 200 mm, in which two kidneys have a twentieth."""
    stream = SyntheticPatches([box_anatomy()], (30, 20, 25), (1.0, 1.0, 1.0), whole_body=True)
    for case in first(stream, 4):
        label = case["label"][0].numpy() > 0
        assert len(components(label)[1]) == 2
        assert 0.025 < label.mean() < 0.1  # a scan is scaled by 0.85 to 1.2
        assert (case["image"] < -500).float().mean() < 0.3  # rotated, it has air in the corners


class Real:
    """A real patient with tumors of some volumes."""

    def __init__(self, *tumors_ml: float) -> None:
        self.tumors_ml = tumors_ml


def test_real_cts_and_small_tumors_get_their_shares() -> None:
    drawn = DrawnPatient(box_anatomy())
    patients: Any = [drawn, drawn, drawn, Real(200.0), Real(3.0, 90.0), Real()]
    assert weights_of(patients).tolist() == [1.0] * 6
    weights = weights_of(patients, real=0.75, small_tumors=2.0)
    assert weights[3:].sum() / weights.sum() == pytest.approx(0.75)
    assert weights[4] == 2 * weights[3] == 2 * weights[5]
    assert weights[:3].tolist() == [weights[0]] * 3


def test_patients_of_one_kind_have_no_share_to_keep() -> None:
    patients: Any = [Real(200.0), Real(3.0)]
    assert weights_of(patients, real=0.5).tolist() == [1.0, 1.0]
