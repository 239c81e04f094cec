"""What programs that are not RenalSeg give to a bundle: paths, MetaTensors, and mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from renalseg.errors import InputError
from renalseg.grids import Grid
from renalseg.inference.bundle import make_case
from renalseg.inference.load import LoadCased
from tests.factories.scenes import GRIDS, ellipsoid, volume
from tests.factories.volumes import save

GRID = GRIDS["oblique"]
HU = ellipsoid(GRID, (-30.0, 9.0, 160.0), (14.0, 12.0, 13.0)) * np.float32(100)
BOTH = LoadCased(["image", "kidney"])


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz", "ct.nrrd", "ct.mha"])
def test_paths_become_the_case_that_renalseg_makes(tmp_path: Path, name: str) -> None:
    image = save(tmp_path / name, HU, GRID.affine)
    kidney = save(tmp_path / f"kidney_{name}", (HU > 0).astype(np.uint8), GRID.affine)
    case = Compose([BOTH])({"image": str(image), "kidney": kidney, "note": 1})
    assert (case["image"].dtype, case["kidney"].dtype) == (torch.float32, torch.uint8)
    np.testing.assert_array_equal(case["image"][0], HU)
    np.testing.assert_array_equal(case["kidney"][0], HU > 0)
    np.testing.assert_allclose(case["source"].affine, GRID.affine, atol=1e-4)
    assert (case["source"].shape, case["note"]) == (GRID.shape, 1)
    assert case["image"].meta["filename_or_obj"] == str(image)


def test_a_metatensor_is_taken_with_or_without_channel() -> None:
    ct = volume(HU, GRID)
    for given in (ct, MetaTensor(ct.as_tensor()[0], affine=ct.affine)):
        case = LoadCased("image")({"image": given})
        assert case["image"].shape == (1, *GRID.shape)
        np.testing.assert_array_equal(case["source"].affine, Grid.of(ct).affine)


def test_a_case_of_renalseg_goes_through() -> None:
    case = make_case(volume(HU, GRID))
    passed = LoadCased("image")(case)
    assert passed["image"] is case["image"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image": "absent.nii.gz"}, "cannot read absent.nii.gz"),
        ({}, "path of a volume or a MetaTensor .* as 'image', got NoneType"),
        ({"image": torch.zeros(1, 2, 2, 2)}, r"got Tensor of shape \(1, 2, 2, 2\)"),
        ({"image": volume(HU, GRID)}, "as 'kidney', got NoneType"),
        (
            {"image": volume(HU, GRID), "kidney": volume(HU[1:], GRID)},
            "a kidney mask on the grid of the image",
        ),
    ],
)
def test_a_mistake_is_one_sentence(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BOTH(given)
