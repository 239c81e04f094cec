"""Several methods as one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from monai.data import MetaTensor

from renalseg.evidence import Evidence, evidence_of, with_evidence
from renalseg.inference.ensemble import join_methods
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.limits import EnsembleLimits

LIMITS = EnsembleLimits(probability=0.5, min_lesion_mm3=0.0)


def row(*values: float, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).to(dtype)[:, None, None]


def found(
    labels: Sequence[int],
    tumor: Sequence[float] | None = None,
    cyst: Sequence[float] | None = None,
) -> MetaTensor:
    """What a method found along a line of voxels."""
    pred = MetaTensor(row(*labels)[None], affine=torch.eye(4, dtype=torch.float64))
    if tumor is None:
        return pred
    probs = torch.stack(
        [row(*(each or [0] * len(labels)), dtype=torch.float16) for each in (tumor, cyst)]
    )
    return with_evidence(pred, Evidence((MetaTensor(probs, affine=pred.affine),)))


def joined(*preds: MetaTensor, limits: EnsembleLimits = LIMITS) -> list[int]:
    values: list[int] = join_methods(preds, limits)[0, :, 0, 0].tolist()
    return values


def test_the_mean_of_the_probabilities_decides() -> None:
    sure = found([1, 2, 2, 2], [0, 0.9, 0.9, 0.9])
    unsure = found([1, 1, 1, 1], [0, 0.2, 0.1, 0.05])
    assert joined(sure, unsure) == [KIDNEY, TUMOR, KIDNEY, KIDNEY]


def test_the_mean_stays_as_the_evidence() -> None:
    pred = join_methods([found([1, 2], [0, 1.0]), found([1, 1], [0, 0.5])], LIMITS)
    evidence = evidence_of(pred)
    assert evidence is not None
    assert evidence.probs[0][0, :, 0, 0].tolist() == [0, 0.75]


def test_half_of_the_methods_make_a_kidney() -> None:
    three = (found([1, 1, 1, 0]), found([0, 1, 1, 0]), found([0, 0, 1, 0]))
    assert joined(*three) == [0, KIDNEY, KIDNEY, 0]
    assert joined(*three[:2]) == [KIDNEY, KIDNEY, KIDNEY, 0]


def test_a_lesion_that_a_method_dropped_gets_no_vote_of_it() -> None:
    """By its own rules, such as a least volume: its probability alone would call it one."""
    dropped = found([1, 1, 1, 2], [0.9, 0.9, 0, 0.9])
    other = found([2, 2, 1, 2], [0.9, 0.9, 0, 0.9])
    assert joined(dropped, other) == [KIDNEY, KIDNEY, KIDNEY, TUMOR]


def test_a_voxel_that_is_no_kidney_of_a_method_gets_no_vote_of_it() -> None:
    assert joined(found([0, 2], [0.9, 0.9]), found([2, 2], [0.9, 0.9])) == [KIDNEY, TUMOR]


def test_a_model_that_gives_labels_alone_is_sure_of_them() -> None:
    assert joined(found([2, 1, 3]), found([1, 2, 3], [0.25, 0.75, 0], [0, 0, 0.75])) == [
        TUMOR,
        KIDNEY,
        CYST,
    ]


@pytest.mark.parametrize(("least", "last"), [(1.5, KIDNEY), (0.5, TUMOR)])
def test_small_lesions_count_as_kidney(least: float, last: int) -> None:
    pred = found([2, 2, 1, 2])
    limits = EnsembleLimits(probability=0.5, min_lesion_mm3=least)
    assert joined(pred, pred, limits=limits) == [TUMOR, TUMOR, KIDNEY, last]


def test_nothing_found_is_nothing() -> None:
    assert joined(found([0, 0]), found([0, 0])) == [0, 0]


def test_a_probability_is_between_0_and_1() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        EnsembleLimits(probability=1.0, min_lesion_mm3=0.0)
