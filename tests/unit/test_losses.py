from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from renalseg.training.losses import LesionLoss, LocatorLoss

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


# LesionLoss


def slices_with(*lesions: tuple[int, int]) -> Tensor:
    """Labels (1, 1, 64, 64): kidney with squares of tumor, of a row and a width each."""
    label = torch.ones(1, 1, 64, 64)
    for row, width in lesions:
        label[..., row : row + width, 2 : 2 + width] = 2
    return label


def logits_of(label: Tensor, classes: int = 4) -> Tensor:
    """Sure of a label."""
    return 20 * functional.one_hot(label[:, 0].long(), classes).movedim(-1, 1).float()


def test_the_right_answer_costs_nothing() -> None:
    label = slices_with((2, 30), (40, 5))
    assert float(LesionLoss()(logits_of(label), label)) == pytest.approx(0, abs=1e-3)


def test_dice_of_a_half_found_lesion_does_not_depend_on_its_weight() -> None:
    label = slices_with((0, 10))
    answer = label.clone()
    answer[..., 5:10, :] = 1
    dice = [
        float(LesionLoss((0, 0, 0, 0), most=most, smooth=0, lesions=(2,))(logits_of(answer), label))
        for most in (1, 6)
    ]
    assert dice == pytest.approx([0.6 * (1 - 100 / 150)] * 2, abs=1e-3)


def test_a_pixel_of_a_small_lesion_weighs_more_up_to_a_limit() -> None:
    label = slices_with((0, 30), (32, 20), (56, 5))
    weights = LesionLoss().lesion_weights(label[:, 0])
    assert weights[0, 10, 10] == 1
    assert weights[0, 40, 10] == pytest.approx(500 / 400)
    assert weights[0, 58, 4] == 6
    assert weights[0, 63, 63] == 1


def test_to_miss_a_small_lesion_costs_nearly_as_much_as_to_miss_a_large_one() -> None:
    label = slices_with((0, 30), (40, 10))
    missed = [label.clone(), label.clone()]
    missed[0][..., :32, :] = 1
    missed[1][..., 32:, :] = 1
    large, small = (float(LesionLoss(dice=0)(logits_of(answer), label)) for answer in missed)
    assert small > 0.4 * large


def test_what_is_false_in_a_healthy_kidney_costs_in_its_own_slice() -> None:
    sick, healthy = slices_with((0, 40)), slices_with()
    label = torch.cat([sick, healthy])
    answer = torch.cat([sick, slices_with((0, 10))])
    loss = LesionLoss(class_weights=(0, 0, 0, 0))(logits_of(answer), label)
    assert float(loss) == pytest.approx(0.6 * (1 - 25 / 125) / 2, abs=1e-3)
