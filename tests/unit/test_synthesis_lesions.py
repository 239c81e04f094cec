"""Lesions in a made-up CT: a kidney of 100 HU in fat, with muscle behind it."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from renalseg.commands.main import main
from renalseg.errors import InputError
from renalseg.labels import KIDNEY, TUMOR
from renalseg.synthesis.lesions import Lesion, guess_phase, implant_lesions, load_lesions
from renalseg.synthesis.scanner import Phase
from renalseg.synthesis.tissues import Tissue

SPACING = (1.0, 1.0, 2.0)
NOISE_HU = 8.0


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def scene(kidney_hu: float = 150.0) -> tuple[Tensor, Tensor]:
    label = torch.zeros((90, 80, 40), dtype=torch.uint8)
    label[25:65, 30:60, 8:32] = KIDNEY
    image = torch.full(label.shape, -100.0)
    image[:, :29] = 55.0  # muscle, which no lesion replaces
    image[label == KIDNEY] = kidney_hu
    return image + NOISE_HU * torch.randn(image.shape, generator=seeded(1)), label


def ball(tissue: Tissue, radius: int = 8) -> Lesion:
    axes = torch.arange(-radius, radius + 1).float()
    x, y, z = torch.meshgrid(axes, axes, axes, indexing="ij")
    return Lesion(tissue, x**2 + y**2 + z**2 <= radius**2, 1.0)


def test_a_tumor_is_labeled_where_the_image_has_changed() -> None:
    image, label = scene()
    found, truth = implant_lesions(image, label, SPACING, [ball(Tissue.TUMOR)], seeded())
    tumor = truth == TUMOR
    ml = tumor.sum().item() * 2.0 / 1000
    assert 0.5 < ml < 4.0  # 2.1 ml, scaled by up to a fifth and cut by muscle
    change = (found - image).abs()
    assert change[tumor].mean() > 3 * change[~tumor & (change > 0)].mean()
    assert (change[tumor] > 10).float().mean() > 0.6


def test_a_cyst_is_of_water_and_counts_as_kidney() -> None:
    image, label = scene()
    found, truth = implant_lesions(image, label, SPACING, [ball(Tissue.CYST)], seeded(2))
    assert not (truth == TUMOR).any()
    dark = (found < 60) & (image > 100)
    assert dark.sum() * 2.0 / 1000 > 0.3
    assert (truth[dark] == KIDNEY).all()
    assert -20 < found[dark].median() < 60


@pytest.mark.parametrize("seed", range(4))
def test_muscle_stays_as_it_is(seed: int) -> None:
    image, label = scene()
    lesions = [ball(Tissue.TUMOR), ball(Tissue.TUMOR)]
    found, truth = implant_lesions(image, label, SPACING, lesions, seeded(seed))
    assert not truth[:, :28].any()
    assert torch.equal(found[:, :24], image[:, :24])


def test_what_was_given_is_not_changed() -> None:
    image, label = scene()
    before = image.clone(), label.clone()
    implant_lesions(image, label, SPACING, [ball(Tissue.TUMOR)], seeded())
    assert torch.equal(image, before[0])
    assert torch.equal(label, before[1])


def test_the_noise_of_the_image_goes_on_in_the_lesion() -> None:
    image, label = scene()
    found, _ = implant_lesions(image, label, SPACING, [ball(Tissue.CYST)], seeded(2))
    dark = (found < 60) & (image > 100)
    fine = found - torch.roll(found, 1, 0)
    assert 0.3 * NOISE_HU < fine[dark].std().item() < 3 * NOISE_HU


def test_a_lesion_that_is_too_large_is_left_out() -> None:
    image, label = scene()
    found, truth = implant_lesions(image, label, SPACING, [ball(Tissue.TUMOR, 60)], seeded())
    assert torch.equal(found, image)
    assert torch.equal(truth, label)


def test_a_label_without_kidney_is_refused() -> None:
    image, label = scene()
    with pytest.raises(InputError, match="kidney"):
        implant_lesions(image, torch.zeros_like(label), SPACING, [ball(Tissue.CYST)], seeded())


def test_the_phase_is_told_by_the_kidneys() -> None:
    image, label = scene(30.0)
    assert guess_phase(image, label == KIDNEY) == Phase.NON_CONTRAST
    image, label = scene(160.0)
    assert guess_phase(image, label == KIDNEY) == Phase.PORTAL
    image[30:60, 35:55, 12:28] = 80.0  # medulla
    assert guess_phase(image, label == KIDNEY) == Phase.CORTICOMEDULLARY


def test_lesions_of_a_label_map(tmp_path: Path) -> None:
    values = np.zeros((40, 40, 40), np.uint8)
    values[5:25, 5:35, 5:35] = 1
    values[5:15, 5:15, 5:15] = 2
    values[20:25, 20:25, 20:35] = 3
    values[10, 30, 30] = 3  # a speck
    nib.save(nib.Nifti1Image(values, np.diag([2.0, 2.0, 2.0, 1.0])), tmp_path / "case.nii.gz")
    found = {
        (lesion.tissue, int(lesion.mask.sum())) for lesion in load_lesions(tmp_path / "case.nii.gz")
    }
    assert found == {(Tissue.TUMOR, 20**3), (Tissue.CYST, 10 * 10 * 30)}


def test_the_command_writes_image_and_label(tmp_path: Path) -> None:
    image, label = scene()
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    nib.save(
        nib.Nifti1Image(image.round().numpy().astype(np.int16), affine), tmp_path / "ct.nii.gz"
    )
    nib.save(nib.Nifti1Image(label.numpy(), affine), tmp_path / "kidney.nii.gz")
    shape = np.zeros((60, 60, 60), np.uint8)
    shape[10:50, 10:50, 10:50] = 1
    shape[10:22, 10:22, 10:22] = 2
    nib.save(nib.Nifti1Image(shape, np.eye(4)), tmp_path / "case_00000.nii.gz")
    paths = [str(tmp_path / name) for name in ("ct.nii.gz", "kidney.nii.gz", "out")]
    shapes = ["--shapes", str(tmp_path / "case_00000.nii.gz"), "--count", "1"]
    assert main(["implant", *paths, *shapes]) == 0
    written = {name: nib.load(tmp_path / "out" / f"{name}.nii.gz") for name in ("image", "label")}
    assert (np.asanyarray(written["label"].dataobj) == TUMOR).any()
    for file in written.values():
        assert np.allclose(file.affine, affine)
    assert main(["implant", *paths, "--shapes", str(tmp_path / "kidney.nii.gz")]) == 2
