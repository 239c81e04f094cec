from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Generator

from renalseg.labels import TUMOR
from renalseg.synthesis.kidneys import SyntheticKidneys
from renalseg.synthesis.tissues import Anatomy, Tissue


def anatomy(kidneys: int) -> Anatomy:
    """Kidneys of 32 x 40 x 64 mm, the first with a tumor, apart by 40 mm."""
    tissue = torch.full((50, 30, 40), int(Tissue.VISCERAL), dtype=torch.uint8)
    tissue[5:13, 10:20, 10:26] = Tissue.KIDNEY
    tissue[7:11, 12:16, 12:16] = Tissue.TUMOR
    if kidneys == 2:
        tissue[23:31, 10:20, 10:26] = Tissue.KIDNEY
    return Anatomy(tissue, torch.full_like(tissue, 5), (4.0, 4.0, 4.0))


@pytest.fixture(autouse=True)
def _small_anatomies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("renalseg.synthesis.patient._MIN_VOXELS", 100)


def dataset(kidneys: int = 2, transform: Any = lambda items: items) -> SyntheticKidneys:
    return SyntheticKidneys([anatomy(kidneys)], (24, 20, 24), transform)


def draw(kidneys: int = 2, seed: int = 0) -> list[dict[str, Any]]:
    return dataset(kidneys).draw(Generator().manual_seed(seed))


def test_a_pair_is_cropped_to_the_boxes_of_its_kidneys() -> None:
    items = draw()
    assert len(items) == 2
    for item in items:
        mask = item["kidney"][0] > 0
        assert item["image"].shape == item["label"].shape == item["kidney"].shape
        for axis in range(3):
            assert mask.select(axis, 0).any()
            assert mask.select(axis, mask.shape[axis] - 1).any()
        assert torch.equal(mask, item["label"][0] > 0)


def test_the_order_of_the_kidneys_is_random() -> None:
    first_has_tumor = {bool((draw(seed=s)[0]["label"] == TUMOR).any()) for s in range(8)}
    assert first_has_tumor == {True, False}


def test_each_pair_has_its_tumor_in_one_kidney() -> None:
    counts = [int((item["label"] == TUMOR).any()) for item in draw(seed=3)]
    assert sorted(counts) == [0, 1]


def test_a_single_kidney_comes_twice() -> None:
    first, second = draw(kidneys=1)
    assert torch.equal(first["image"], second["image"])


def test_patients_without_kidneys_are_left_out() -> None:
    none = anatomy(1)
    none.tissue.fill_(int(Tissue.VISCERAL))
    assert len(SyntheticKidneys([none, anatomy(2)], (8, 8, 8), list).patients) == 1


def test_the_stream_is_transformed_and_repeatable() -> None:
    a, b = (next(iter(dataset(transform=lambda items: items[0]["image"]))) for _ in range(2))
    assert torch.equal(a, b)
