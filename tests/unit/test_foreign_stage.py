from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.errors import ConfigError
from renalseg.inference.foreign.stage import ForeignStage, Remembering
from renalseg.inference.foreign.structures import Structures
from renalseg.labels import CYST, KIDNEY, TUMOR
from tests.factories.scenes import GRIDS, ellipsoid, volume

GRID = GRIDS["coronal"]
KIDNEY_AT = ellipsoid(GRID, (37, -11, 130), (16, 16, 30))
TUMOR_AT = ellipsoid(GRID, (37, 2, 130), (9, 9, 12))
FAR_AT = ellipsoid(GRID, (-50, -11, 130), (10, 10, 10))


class Painted:
    """A model that reads its labels off the image, which holds a hundred times their values."""

    def __init__(self, *kinds: int) -> None:
        self.name = "painted"
        self.structures = Structures({kind: kind for kind in kinds})
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, image: MetaTensor) -> MetaTensor:
        self.seen.append(tuple(image.shape))
        values = image.as_tensor() / 100
        labels = sum(kind * (values == kind) for kind in self.structures.kinds)
        return MetaTensor(labels.to(torch.uint8), affine=image.affine)


def image() -> MetaTensor:
    labels = np.zeros(GRID.shape, np.float32)
    labels[KIDNEY_AT] = KIDNEY
    labels[TUMOR_AT] = TUMOR
    labels[FAR_AT] = CYST
    return volume(labels * 100, GRID)


def mask() -> MetaTensor:
    return volume((KIDNEY_AT | TUMOR_AT).astype(np.uint8), GRID)


def test_all_that_a_localizer_finds_is_kidney() -> None:
    found = ForeignStage(Painted(1, 2), localizer=True, margin_mm=10)(image())
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found[0].numpy(), KIDNEY_AT | TUMOR_AT)
    torch.testing.assert_close(found.affine, image().affine)


def test_a_tumor_stage_sees_the_box_around_the_kidneys() -> None:
    model = Painted(1, 2, 3)
    found = ForeignStage(model, localizer=False, margin_mm=10)(image(), mask())
    expected = np.where(TUMOR_AT, TUMOR, KIDNEY_AT.astype(np.uint8))
    np.testing.assert_array_equal(found[0].numpy(), expected)  # without what is far away
    ((_, *size),) = model.seen
    extent = [size * mm for size, mm in zip(size, GRID.spacing, strict=True)]
    # 32 mm, 32 mm along P-A with what the tumor adds, 60 mm, and twice 10 mm with whole voxels
    assert np.prod(size) < found.numel() / 3
    assert all(48 < mm < 96 for mm in extent)


def test_without_a_margin_it_sees_everything() -> None:
    model = Painted(1, 2, 3)
    found = ForeignStage(model, localizer=False, margin_mm=None)(image(), mask())
    assert model.seen == [tuple(image().shape)]
    np.testing.assert_array_equal(found[0].numpy() == CYST, FAR_AT)


def test_without_a_label_for_kidney_the_mask_is_kidney() -> None:
    found = ForeignStage(Painted(2), localizer=False, margin_mm=10)(image(), mask())
    expected = np.where(TUMOR_AT, TUMOR, KIDNEY_AT.astype(np.uint8))
    np.testing.assert_array_equal(found[0].numpy(), expected)


def test_without_kidneys_there_is_nothing_to_look_at() -> None:
    model = Painted(1, 2)
    found = ForeignStage(model, localizer=False, margin_mm=10)(image(), mask() * 0)
    assert not found.any()
    assert not model.seen


def test_two_stages_that_share_a_model_let_it_look_once() -> None:
    model = Painted(1, 2, 3)
    shared = Remembering(model)
    localizer = ForeignStage(shared, localizer=True, margin_mm=10)
    tumor = ForeignStage(shared, localizer=False, margin_mm=10)
    first = image()
    localizer(first)
    found = tumor(first, mask())
    assert len(model.seen) == 1
    alone = ForeignStage(Painted(1, 2, 3), localizer=False, margin_mm=10)(image(), mask())
    assert torch.equal(found.as_tensor(), alone.as_tensor())
    localizer(image())
    assert len(model.seen) == 2


def test_what_a_model_found_is_forgotten_with_its_image() -> None:
    shared = Remembering(Painted(1))
    shared(image())
    assert shared._labels is None


@pytest.mark.parametrize(
    ("kinds", "localizer", "name"), [((2, 3), True, "kidney"), ((1, 3), False, "tumor")]
)
def test_a_model_must_find_what_its_stage_is_for(
    kinds: tuple[int, ...], localizer: bool, name: str
) -> None:
    with pytest.raises(ConfigError, match=f"a label for {name} in painted.*--labels.*{name}=1"):
        ForeignStage(Painted(*kinds), localizer=localizer, margin_mm=10)
