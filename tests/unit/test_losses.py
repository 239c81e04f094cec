from __future__ import annotations

import pytest
import torch
from torch import Tensor

from renalseg.training.losses import LocatorLoss

SURE = 30.0  # a logit whose probability is 1


@pytest.fixture
def label() -> Tensor:
    """Kidney in the middle slice of three."""
    mask = torch.zeros(2, 1, 4, 4, 3, dtype=torch.uint8)
    mask[:, :, 1:3, 1:3, 1] = 1
    return mask


def logits(mask: Tensor, present: list[bool]) -> Tensor:
    slices = torch.tensor(present).expand_as(mask)
    return SURE * (2 * torch.cat([mask, slices], dim=1).float() - 1)


def test_locator_loss_is_zero_for_the_truth(label: Tensor) -> None:
    assert LocatorLoss()(logits(label, [False, True, False]), label) < 1e-4


def test_locator_loss_of_a_missed_slice_is_its_cross_entropy(label: Tensor) -> None:
    loss = LocatorLoss()(logits(label, [False, False, False]), label)
    assert float(loss) == pytest.approx(SURE / 3, rel=1e-3)


def test_locator_loss_of_a_missed_kidney_is_dice_and_cross_entropy(label: Tensor) -> None:
    loss = LocatorLoss()(logits(torch.zeros_like(label), [False, True, False]), label)
    assert float(loss) == pytest.approx(1 + SURE * 4 / 48, rel=1e-3)
