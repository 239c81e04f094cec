from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Engine
from torch import Tensor

from renalseg.errors import ConfigError
from renalseg.training.patch_scores import PatchScores, dice_of, to_masks


def volume(*values: float) -> Tensor:
    """(1, 1, n, 1, 1)."""
    return torch.tensor(values).reshape(1, 1, -1, 1, 1)


def rows(masks: Tensor) -> list[list[bool]]:
    return masks[0, :, :, 0, 0].tolist()


def test_one_logit_is_positive_inside() -> None:
    pred, label = to_masks(volume(-1.0, 2.0), volume(0, 1), 1)
    assert rows(pred) == rows(label) == [[False, True]]


def test_of_classes_the_outer_structure_has_the_inner_one_in_it() -> None:
    logits = torch.cat([volume(3.0, 0, 0), volume(0.0, 3, 0), volume(0.0, 0, 3)], dim=1)
    pred, label = to_masks(logits, volume(0, 1, 2), 2)
    assert rows(pred) == rows(label) == [[False, True, True], [False, False, True]]


def test_nested_logits_meet_nested_labels() -> None:
    logits = torch.cat([volume(-1.0, 1, 1), volume(-1.0, -1, 1)], dim=1)
    label = torch.cat([volume(0, 1, 1), volume(0, 0, 1)], dim=1)
    pred, truth = to_masks(logits, label, 2)
    assert rows(pred) == rows(truth) == [[False, True, True], [False, False, True]]


def test_other_channels_are_refused() -> None:
    with pytest.raises(ConfigError, match="got 3"):
        to_masks(torch.zeros(1, 3, 2, 2, 2), torch.zeros(1, 1, 2, 2, 2), 1)


def test_dice_of_nothing_is_no_number() -> None:
    dice = dice_of(torch.tensor([1, 0]), torch.tensor([4, 0]))
    assert dice[0] == 0.5
    assert dice[1].isnan()


def score(*patches: tuple[Tensor, Tensor]) -> PatchScores:
    """Scores patches (logits, label) for a kidney with its tumors, and the tumors."""
    scores = PatchScores(["kidney", "tumor"])

    def step(engine: Engine, patch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return {"image": volume(*range(patch[1].numel())), "pred": patch[0], "label": patch[1]}

    engine = Engine(step)
    scores.attach(engine)
    engine.run(patches)
    return scores


def classes(*values: int) -> Tensor:
    """Logits (1, 3, n, 1, 1) whose largest is that of the class."""
    return torch.nn.functional.one_hot(torch.tensor(values), 3).T[None, :, :, None, None].float()


def test_patches_are_scored_together() -> None:
    scores = score(
        (classes(1, 1, 2, 0), volume(1, 1, 2, 0)), (classes(1, 0, 0, 0), volume(0, 0, 0, 0))
    )
    metrics = scores.metrics()
    assert metrics["dice_kidney"] == pytest.approx(6 / 7)
    assert metrics["dice_tumor"] == 1.0
    assert metrics["dice"] == pytest.approx((6 / 7 + 1) / 2)


def test_a_patch_has_the_mean_dice_of_what_is_in_it() -> None:
    scores = score(
        (classes(1, 2, 0, 0), volume(1, 1, 2, 0)), (classes(0, 0, 0, 0), volume(0, 0, 0, 0))
    )
    first, second = scores.patches
    assert first.dice == pytest.approx((4 / 5 + 0) / 2)
    assert math.isnan(second.dice)


def test_a_structure_in_no_patch_does_not_count() -> None:
    assert score((classes(1, 0), volume(1, 0))).metrics() == {"dice": 1.0, "dice_kidney": 1.0}


def test_patches_with_nothing_have_no_dice() -> None:
    assert score((classes(0, 0), volume(0, 0))).metrics() == {}


def test_a_run_starts_anew() -> None:
    scores = PatchScores(["kidney"])
    engine = Engine(lambda _, x: {"image": x, "pred": x, "label": x})
    scores.attach(engine)
    for _ in range(2):
        engine.run([volume(0.0, 1.0)], max_epochs=1)
    assert len(scores.patches) == 1


def test_the_slice_with_most_of_the_innermost_structure_is_shown() -> None:
    label = torch.zeros(1, 1, 2, 2, 3)
    label[..., 0] = 1
    label[0, 0, 0, 0, 2] = 2
    scores = PatchScores(["kidney", "tumor"])
    engine = Engine(lambda _, x: {"image": x, "pred": torch.zeros(1, 3, 2, 2, 3), "label": x})
    scores.attach(engine)
    engine.run([label])
    assert scores.patches[0].image.tolist() == [[2, 0], [0, 0]]
    assert scores.patches[0].label.shape == (2, 2, 2)


def test_of_a_stack_the_middle_slice_is_shown() -> None:
    image = torch.arange(5.0)[None, :, None, None].expand(1, 5, 2, 2)
    scores = PatchScores(["tumor"])
    engine = Engine(lambda _, x: {"image": x, "pred": x[:, :1], "label": x[:, :1]})
    scores.attach(engine)
    engine.run([image])
    assert (scores.patches[0].image == 2).all()
