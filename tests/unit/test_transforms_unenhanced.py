"""CTs that lose their contrast medium."""

from __future__ import annotations

import pytest
import torch

from renalseg.transforms import RandUnenhancedd

AIR, FAT, MUSCLE, LIVER, CORTEX, BONE = -1000.0, -100.0, 60.0, 120.0, 180.0, 500.0


def enhanced() -> dict[str, torch.Tensor]:
    """A kidney with a tumor in fat beside a liver, with a bone and air."""
    image, label = torch.full((1, 60, 40, 40), FAT), torch.zeros((1, 60, 40, 40), dtype=torch.uint8)
    image[:, 2:20, 2:38, 2:38] = LIVER
    image[:, 22:40, 8:32, 8:32], label[:, 22:40, 8:32, 8:32] = CORTEX, 1
    image[:, 26:36, 12:20, 12:20], label[:, 26:36, 12:20, 12:20] = LIVER, 2
    image[:, 46:54, 10:30, 10:30] = BONE
    image[:, :, :2] = AIR
    image[:, :, -2:] = MUSCLE
    return {"image": image, "label": label}


def unenhanced(seed: int) -> torch.Tensor:
    return RandUnenhancedd("image", prob=1.0).set_random_state(seed)(enhanced())["image"]


@pytest.mark.parametrize("seed", range(4))
def test_kidneys_become_no_brighter_than_muscle_and_stay_below_the_liver(seed: int) -> None:
    image = unenhanced(seed)
    kidney, liver = image[:, 23:39, 22:31, 22:31].mean(), image[:, 4:18, 6:34, 6:34].mean()
    muscle = image[:, 4:56, -1, 2:38].mean()
    assert 20 < kidney < 40
    assert 50 < liver < 60
    assert kidney < muscle < liver


@pytest.mark.parametrize("seed", range(4))
def test_tumors_do_not_stand_out(seed: int) -> None:
    image = unenhanced(seed)
    tumor, kidney = image[:, 28:34, 14:18, 14:18].mean(), image[:, 23:39, 22:31, 22:31].mean()
    assert abs(tumor - kidney) < 12


def test_air_fat_and_bone_stay() -> None:
    before, after = enhanced()["image"], unenhanced(0)
    stays = (before < -30) | (before == BONE)
    assert torch.equal(after[stays], before[stays])


def test_a_ct_without_contrast_medium_stays() -> None:
    given = enhanced()
    given["image"][given["label"] > 0] = 35.0
    assert RandUnenhancedd("image", prob=1.0)(given)["image"] is given["image"]


def test_a_ct_without_kidneys_stays() -> None:
    given = enhanced() | {"label": torch.zeros((1, 60, 40, 40), dtype=torch.uint8)}
    assert RandUnenhancedd("image", prob=1.0)(given)["image"] is given["image"]


def test_only_the_asked_share_changes_and_the_input_stays() -> None:
    given, transform = enhanced(), RandUnenhancedd("image", prob=0.3).set_random_state(0)
    changed = [transform(given)["image"] is not given["image"] for _ in range(60)]
    assert 8 < sum(changed) < 30
    assert torch.equal(given["image"], enhanced()["image"])
