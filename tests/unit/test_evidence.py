"""The probabilities that stay with a label map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.evidence import EVIDENCE, Evidence, evidence_of, with_evidence
from renalseg.grids import Grid
from renalseg.transforms import MergeKidneysd, RestoreGridd

FINE = Grid((8, 8, 8), np.eye(4))


def part(start: int, value: float, size: int = 2, spacing: float = 2.0) -> MetaTensor:
    """A tumor probability in a cube of coarse voxels; `start` is its first fine voxel."""
    affine = torch.diag(torch.tensor([spacing] * 3 + [1.0], dtype=torch.float64))
    affine[:3, 3] = start + (spacing - 1) / 2
    probs = torch.zeros((2, size, size, size), dtype=torch.float16)
    probs[0] = value
    return MetaTensor(probs, affine=affine)


def test_probabilities_are_looked_up_on_any_grid() -> None:
    found = Evidence((part(2, 0.75),)).on(FINE)
    expected = torch.zeros(8, 8, 8)
    expected[2:6, 2:6, 2:6] = 0.75
    assert torch.equal(found[0], expected)
    assert not found[1].any()


def test_the_largest_counts_where_crops_overlap() -> None:
    found = Evidence((part(0, 0.25), part(2, 0.75))).on(FINE)[0]
    assert (found[0, 0, 0], found[3, 3, 3], found[6, 6, 6]) == (0.25, 0.75, 0)


def test_a_grid_beside_the_crop_has_none() -> None:
    beside = Grid((4, 4, 4), np.block([[np.eye(3), np.full((3, 1), 50.0)], [np.zeros(3), 1]]))
    assert not Evidence((part(0, 1.0),)).on(beside).any()


def test_a_label_map_keeps_it() -> None:
    pred = MetaTensor(torch.zeros(1, 2, 2, 2))
    assert evidence_of(pred) is None
    evidence = Evidence()
    assert evidence_of(with_evidence(pred, evidence)) is evidence
    assert evidence_of(with_evidence(pred, None)) is evidence


@pytest.mark.parametrize(
    ("probs", "options", "tumor", "cyst"),
    [
        ([0.1], {"threshold": 0.1}, 0.5, 0),
        ([0.25], {}, 0.25, 0),
        ([0.9, 0.75], {"nested": True}, 0.75, 0),
        ([0.25, 0.25, 0.5], {}, 0.5, 0),
        ([0.125, 0.125, 0.25, 0.5], {}, 0.25, 0.5),
    ],
)
def test_a_method_calls_a_lesion_what_exceeds_a_half(
    probs: list[float], options: dict[str, Any], tumor: float, cyst: float
) -> None:
    values = torch.tensor(probs)[:, None, None, None].expand(-1, 2, 2, 2)
    item = {"pred": MetaTensor(values, affine=torch.eye(4)), "source": Grid((2, 2, 2), np.eye(4))}
    (kept,) = RestoreGridd("pred", **options)(item)[EVIDENCE].probs
    torch.testing.assert_close(
        kept[:, 0, 0, 0].float(), torch.tensor([tumor, cyst]), atol=1e-3, rtol=0
    )


def test_both_kidneys_have_their_evidence_when_they_are_joined() -> None:
    items = [
        {"pred": MetaTensor(torch.zeros(1, 2, 2, 2)), EVIDENCE: Evidence((part(start, 0.5),))}
        for start in (0, 4)
    ]
    assert len(MergeKidneysd("pred")(items)[EVIDENCE].probs) == 2
