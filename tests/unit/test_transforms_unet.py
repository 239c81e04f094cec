"""Masks as a localizer gives them."""

from __future__ import annotations

import torch
from monai.data import MetaTensor
from scipy import ndimage

from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.transforms import KeepSureLesionsd, LesionsInMaskd, RandImperfectMaskd
from tests.factories import slabs


def masks(label: torch.Tensor, count: int, hu: float = 40.0) -> list[torch.Tensor]:
    """The masks that so many seeds give, in tissue of some HU."""
    found = []
    for seed in range(count):
        transform = RandImperfectMaskd("mask").set_random_state(seed=seed)
        found.append(transform(case(label, hu))["mask"][0])
    return found


def case(label: torch.Tensor, hu: float = 40.0) -> dict[str, torch.Tensor]:
    """Kidneys in tissue of some HU, and their mask."""
    image = torch.where(label > 0, 150.0, hu)[None]
    return {"mask": (label > 0).to(torch.uint8)[None], "label": label[None], "image": image}


def test_masks_stay_masks_of_the_same_kidneys() -> None:
    label = slabs.kidneys(5)
    for mask in masks(label, 40):
        assert mask.dtype == torch.uint8
        assert set(mask.unique().tolist()) <= {0, 1}
        assert (mask[label > 0] > 0).float().mean() > 0.3  # a few lack a kidney


def test_masks_miss_their_outline_both_ways() -> None:
    label = slabs.kidneys(5)
    sizes = torch.tensor([float(mask.sum()) for mask in masks(label, 40)]) / float(
        (label > 0).sum()
    )
    assert sizes.min() < 0.9
    assert sizes.max() > 1.1
    assert (sizes == 1).float().mean() < 0.5


def test_some_masks_hold_pieces_of_neighbors_and_a_few_lack_a_kidney() -> None:
    label = slabs.kidneys(5, lesions=False)
    near = torch.from_numpy(ndimage.binary_dilation((label > 0).numpy(), iterations=4))
    found = masks(label, 60)
    assert 10 < sum(bool((mask.bool() & ~near).any()) for mask in found) < 45
    lonely = sum(not mask[:48].any() or not mask[48:].any() for mask in found)
    assert 0 < lonely < 12


def test_most_leaks_end_where_fat_begins() -> None:
    label = slabs.kidneys(5, lesions=False)
    near = torch.from_numpy(ndimage.binary_dilation((label > 0).numpy(), iterations=4))
    in_fat, in_tissue = (
        sum(bool((mask.bool() & ~near).any()) for mask in masks(label, 60, hu))
        for hu in (-100.0, 40.0)
    )
    assert 0 < in_fat < 0.75 * in_tissue


def test_the_bulge_of_a_lesion_is_missing_now_and_then() -> None:
    label = slabs.kidneys(5, lesions=False)
    label[slabs.disc((8, 32), 8)] = TUMOR
    bulge = (label == TUMOR) & ~(label == KIDNEY)
    kept = [(mask[bulge] > 0).float().mean() for mask in masks(label, 60)]
    assert 3 < sum(share < 0.85 for share in kept) < 40


def test_the_mask_that_is_given_is_left_alone() -> None:
    label = slabs.kidneys(5)
    given = case(label)
    before = given["mask"].clone()
    for seed in range(20):
        RandImperfectMaskd("mask").set_random_state(seed=seed)(given)
    assert torch.equal(given["mask"], before)


def test_lesions_end_with_the_mask_and_kidney_does_not() -> None:
    pred = MetaTensor(torch.tensor([0, 1, 2, 3, 1, 2, 3])[None, :, None, None].to(torch.uint8))
    kidney = MetaTensor(torch.tensor([0, 0, 0, 0, 1, 1, 1])[None, :, None, None])
    labels = LesionsInMaskd("pred")({"pred": pred, "kidney": kidney})["pred"]
    assert labels.flatten().tolist() == [0, 1, 0, 0, 1, 2, 3]
    assert labels.dtype == torch.uint8


def test_lesions_that_the_network_doubts_are_none() -> None:
    logits = torch.zeros(4, 12, 4, 1)
    logits[1] = 5.0  # kidney
    for x, lead in ((1, 6.0), (5, 3.0), (9, 0.5)):  # sure, doubtful, too little for a lesion
        logits[2, x : x + 2] = 5.0 + lead
    keep = KeepSureLesionsd("pred", margin=(1.0, 0.5), sure=(4.0, 2.0), share=0.5)
    pred = MetaTensor(logits)
    labels = keep({"pred": pred})["pred"].argmax(dim=0)[:, 0, 0]
    assert torch.nonzero(labels == TUMOR).flatten().tolist() == [1, 2]
    assert (labels[labels != TUMOR] == KIDNEY).all()
    assert torch.equal(pred.as_tensor(), logits)


def test_half_of_a_lesion_that_is_sure_vouches_for_the_rest() -> None:
    logits = torch.zeros(4, 8, 1, 1)
    logits[3, :4, 0, 0] = torch.tensor([3.0, 3.0, 1.0, 1.0])
    for share, kept in ((0.5, 4), (0.6, 0)):
        keep = KeepSureLesionsd("pred", margin=(1.0, 0.5), sure=(4.0, 2.0), share=share)
        labels = keep({"pred": MetaTensor(logits)})["pred"].argmax(dim=0)
        assert int((labels == CYST).sum()) == kept
