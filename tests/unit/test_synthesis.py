from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from renalseg.cases import load_nifti
from renalseg.dicom.read.series import read_series
from renalseg.errors import InputError
from renalseg.geometry import to_world
from renalseg.labels import BACKGROUND, KIDNEY, TUMOR
from renalseg.synthesis import deformation, sample
from renalseg.synthesis.appearance import Phase, Scanner, draw_ct, draw_phase
from renalseg.synthesis.deformation import deform
from renalseg.synthesis.fields import gaussian_blur, smooth_field, uniform
from renalseg.synthesis.library import (
    held_out_cases,
    load_library,
    make_library,
    save_anatomy,
    training_cases,
)
from renalseg.synthesis.patches import SyntheticPatches
from renalseg.synthesis.phantom import draw_phantom
from renalseg.synthesis.tissues import Anatomy, Tissue, label_of, with_depth

SHAPE, SPACING = (66, 50, 42), (6.0, 6.0, 6.0)
CLEAR = Scanner(blur_mm=0.0, blur_z_mm=0.0, noise_hu=0.1)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def phantom(seed: int = 0, tumor_side: int | None = None) -> Anatomy:
    return draw_phantom(seeded(seed), SHAPE, SPACING, tumor_side)


def middle_x(mask: Tensor) -> float:
    """In voxels toward the patient's right of the middle of the volume."""
    return mask.nonzero()[:, 0].double().mean().item() - (mask.shape[0] - 1) / 2


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return phantom()


# tissues


@pytest.mark.parametrize("tissue", Tissue)
def test_label_of_every_tissue(tissue: Tissue) -> None:
    expected = {
        **dict.fromkeys((Tissue.KIDNEY, Tissue.PELVIS, Tissue.CYST), KIDNEY),
        Tissue.TUMOR: TUMOR,
    }
    label = label_of(torch.full((1, 1, 1), int(tissue), dtype=torch.uint8))
    assert label.item() == expected.get(tissue, BACKGROUND)
    assert label.dtype == torch.uint8


# phantom


def test_the_same_seed_is_the_same_patient(anatomy: Anatomy) -> None:
    again = phantom()
    assert torch.equal(again.tissue, anatomy.tissue)
    assert torch.equal(again.depth, anatomy.depth)


def test_another_seed_is_another_patient(anatomy: Anatomy) -> None:
    assert not torch.equal(phantom(1).tissue, anatomy.tissue)


@pytest.mark.parametrize("seed", range(4))
def test_a_patient_has_a_kidney_on_each_side(seed: int) -> None:
    label = label_of(phantom(seed).tissue) > 0
    half = SHAPE[0] // 2
    volumes = [label[part].sum().item() * 6.0**3 / 1000 for part in (slice(half), slice(half, 66))]
    assert all(60 < ml < 500 for ml in volumes), volumes


@pytest.mark.parametrize("side", [1, -1])
def test_the_tumor_is_in_the_kidney_of_its_side(side: int) -> None:
    tumor = label_of(phantom(2, side).tissue) == TUMOR
    assert tumor.any()
    assert middle_x(tumor) * side > 0


def test_organs_lie_on_their_sides(anatomy: Anatomy) -> None:
    sides = {Tissue.LIVER: 1, Tissue.SPLEEN: -1, Tissue.GALLBLADDER: 1}
    for tissue, side in sides.items():
        assert middle_x(anatomy.tissue == tissue) * side > 0, tissue.name


def test_the_spine_is_behind_the_bowel(anatomy: Anatomy) -> None:
    spine, bowel = (
        (anatomy.tissue == tissue).nonzero()[:, 1].double().mean()
        for tissue in (Tissue.MARROW, Tissue.BOWEL)
    )
    assert spine < bowel  # y grows toward anterior


def test_the_lungs_are_above_the_kidneys(anatomy: Anatomy) -> None:
    lung, kidney = (
        (anatomy.tissue == tissue).nonzero()[:, 2].double().mean()
        for tissue in (Tissue.LUNG, Tissue.KIDNEY)
    )
    assert lung > kidney


# depth


def test_depth_is_in_mm_from_the_surface() -> None:
    tissue = torch.zeros((15, 15, 15), dtype=torch.uint8)
    tissue[3:12, 3:12, 3:12] = int(Tissue.KIDNEY)
    depth = with_depth(tissue, (2.0, 3.0, 4.0)).depth
    assert depth[3, 7, 7] == 2
    assert depth[7, 3, 7] == 3
    assert depth[7, 7, 7] == 10  # five steps of 2 mm are the shortest way out


def test_depth_of_a_tumor_starts_at_its_own_surface() -> None:
    tissue = torch.zeros((15, 15, 15), dtype=torch.uint8)
    tissue[1:14, 1:14, 1:14] = int(Tissue.KIDNEY)
    tissue[5:10, 5:10, 5:10] = int(Tissue.TUMOR)
    depth = with_depth(tissue, (1.0, 1.0, 1.0)).depth
    assert (depth[5, 7, 7], depth[7, 7, 7]) == (1, 3)
    assert depth[4, 7, 7] == 4  # kidney beside the tumor: from the kidney's surface


def test_depth_is_nothing_elsewhere(anatomy: Anatomy) -> None:
    shown = (anatomy.tissue == Tissue.KIDNEY) | (anatomy.tissue == Tissue.TUMOR)
    assert torch.equal(anatomy.depth > 0, shown)


# appearance


def mean_hu(ct: Tensor, anatomy: Anatomy, tissue: Tissue) -> float:
    return ct[anatomy.tissue == tissue].mean().item()


def test_most_cysts_are_of_water_and_a_few_are_dense(anatomy: Anatomy) -> None:
    cysts = torch.tensor(
        [
            mean_hu(draw_ct(anatomy, seeded(s), Phase.PORTAL, CLEAR), anatomy, Tissue.CYST)
            for s in range(30)
        ]
    )
    assert -10 < cysts.median() < 25
    assert 0 < (cysts > 30).sum() < 8
    assert cysts.max() < 90


@pytest.mark.parametrize("phase", Phase)
def test_hu_of_tissues_are_plausible(anatomy: Anatomy, phase: Phase) -> None:
    for seed in range(5):
        ct = draw_ct(anatomy, seeded(seed), phase, CLEAR)
        assert mean_hu(ct, anatomy, Tissue.AIR) < -900
        assert -150 < mean_hu(ct, anatomy, Tissue.FAT) < -60
        assert 20 < mean_hu(ct, anatomy, Tissue.MUSCLE) < 90
        assert mean_hu(ct, anatomy, Tissue.CORTICAL_BONE) > 200


def test_kidneys_are_brighter_than_muscle_in_the_portal_phase(anatomy: Anatomy) -> None:
    for seed in range(5):
        ct = draw_ct(anatomy, seeded(seed), Phase.PORTAL, CLEAR)
        assert mean_hu(ct, anatomy, Tissue.KIDNEY) > mean_hu(ct, anatomy, Tissue.MUSCLE) + 20


def test_kidneys_are_not_without_contrast(anatomy: Anatomy) -> None:
    for seed in range(5):
        ct = draw_ct(anatomy, seeded(seed), Phase.NON_CONTRAST, CLEAR)
        assert 10 < mean_hu(ct, anatomy, Tissue.KIDNEY) < 60


def test_cortex_enhances_before_the_medulla(anatomy: Anatomy) -> None:
    kidney = anatomy.tissue == Tissue.KIDNEY
    outer, inner = kidney & (anatomy.depth <= 6), kidney & (anatomy.depth >= 18)
    differences = []
    for seed in range(5):
        ct = draw_ct(anatomy, seeded(seed), Phase.CORTICOMEDULLARY, CLEAR)
        differences.append((ct[outer].mean() - ct[inner].mean()).item())
    assert np.mean(differences) > 40


def test_pelvis_is_bright_in_the_excretory_phase(anatomy: Anatomy) -> None:
    ct = draw_ct(anatomy, seeded(), Phase.EXCRETORY, CLEAR)
    assert mean_hu(ct, anatomy, Tissue.PELVIS) > mean_hu(ct, anatomy, Tissue.KIDNEY)


def test_a_ct_is_float32_and_no_darker_than_a_scanner_shows(anatomy: Anatomy) -> None:
    ct = draw_ct(anatomy, seeded())
    assert ct.dtype == torch.float32
    assert ct.shape == anatomy.tissue.shape
    assert ct.isfinite().all()
    assert ct.min() >= -1024


def test_the_same_seed_is_the_same_ct(anatomy: Anatomy) -> None:
    assert torch.equal(draw_ct(anatomy, seeded(3)), draw_ct(anatomy, seeded(3)))


def test_noise_is_that_of_the_scanner(anatomy: Anatomy) -> None:
    quiet, loud = (
        draw_ct(anatomy, seeded(), Phase.PORTAL, Scanner(0.0, 0.0, noise))
        for noise in (0.001, 25.0)
    )
    inside = anatomy.tissue == Tissue.MUSCLE
    assert (loud - quiet)[inside].std().item() == pytest.approx(25.0, rel=0.1)


def test_all_phases_are_drawn_the_portal_most_often() -> None:
    generator = seeded()
    counts = np.bincount([draw_phase(generator) for _ in range(400)], minlength=4)
    assert counts.min() > 0
    assert counts.argmax() == Phase.PORTAL


# fields


def test_blur_keeps_a_constant() -> None:
    blurred = gaussian_blur(torch.full((8, 9, 10), 40.0), (1.0, 2.0, 0.5))
    torch.testing.assert_close(blurred, torch.full((8, 9, 10), 40.0))


def test_blur_spreads_along_its_own_axis() -> None:
    point = torch.zeros((9, 9, 9))
    point[4, 4, 4] = 1.0
    blurred = gaussian_blur(point, (0.0, 1.5, 0.0))
    assert blurred[4, :, 4].sum() == pytest.approx(1.0)
    assert blurred[4, 3, 4] > 0.1


def test_a_smooth_field_has_its_shape_and_is_smooth() -> None:
    field = smooth_field((20, 18, 16), (1.0, 1.0, 2.0), 10.0, seeded(), channels=3)
    assert field.shape == (3, 20, 18, 16)
    assert field.diff(dim=1).std() < 0.3 * field.std()


def test_uniform_stays_within_its_bounds() -> None:
    generator = seeded()
    values = [uniform(generator, -2.0, 3.0) for _ in range(200)]
    assert -2 <= min(values) < -1.5
    assert 2.5 < max(values) < 3


# patches

ROI, FINE = (24, 20, 22), (5.0, 6.0, 6.0)


@pytest.fixture(scope="module")
def synthetic(anatomy: Anatomy) -> SyntheticPatches:
    return SyntheticPatches([anatomy], ROI, FINE, seed=5)


def test_patches_have_their_shapes_and_types(synthetic: SyntheticPatches) -> None:
    patch = next(iter(synthetic))
    assert patch["image"].shape == patch["label"].shape == (1, *ROI)
    assert (patch["image"].dtype, patch["label"].dtype) == (torch.float32, torch.uint8)


def test_patches_repeat_by_seed(anatomy: Anatomy, synthetic: SyntheticPatches) -> None:
    again = SyntheticPatches([anatomy], ROI, FINE, seed=5)
    for one, other in zip(islice(synthetic, 3), islice(again, 3), strict=True):
        assert torch.equal(one["image"], other["image"])


def test_patches_of_another_seed_differ(anatomy: Anatomy, synthetic: SyntheticPatches) -> None:
    other = SyntheticPatches([anatomy], ROI, FINE, seed=6)
    assert not torch.equal(next(iter(other))["image"], next(iter(synthetic))["image"])


def test_patches_near_a_kidney_hold_one(anatomy: Anatomy) -> None:
    near = SyntheticPatches([anatomy], ROI, FINE, near_kidney=1.0, near_tumor=0.0, reach_mm=20.0)
    assert all((patch["label"] > 0).any() for patch in islice(near, 5))


def test_patches_near_a_tumor_hold_one(anatomy: Anatomy) -> None:
    near = SyntheticPatches([anatomy], ROI, FINE, near_kidney=1.0, near_tumor=1.0, reach_mm=10.0)
    hold = [bool((patch["label"] == TUMOR).any()) for patch in islice(near, 30)]
    assert 15 <= sum(hold) < 30  # in three of ten scans the tumors are cysts


def test_image_and_label_of_a_patch_are_aligned() -> None:
    # a bright kidney in air: the image shows where the label must be
    tissue = torch.zeros((30, 30, 30), dtype=torch.uint8)
    tissue[11:22, 12:20, 8:19] = int(Tissue.KIDNEY)
    tissue[0, 0, 0] = int(Tissue.VISCERAL)
    one = with_depth(tissue, (4.0, 4.0, 4.0))
    near = SyntheticPatches([one], ROI, FINE, near_kidney=1.0, near_tumor=0.0, reach_mm=20.0)
    for patch in islice(near, 5):
        bright = patch["image"] > -450
        label = patch["label"] > 0
        assert (bright & label).sum() > 0.95 * (bright | label).sum()


# deform


def markers() -> Anatomy:
    """One organ on the right, one in front, one above, all beside the middle."""
    tissue = torch.full((40, 40, 40), int(Tissue.FAT), dtype=torch.uint8)
    tissue[28:33, 17:22, 17:22] = int(Tissue.LIVER)
    tissue[17:22, 28:33, 17:22] = int(Tissue.BOWEL)
    tissue[17:22, 17:22, 28:33] = int(Tissue.LUNG)
    return with_depth(tissue, (4.0, 4.0, 4.0))


def offsets(piece: Anatomy) -> Tensor:
    """(3, 3): of each marker from the middle, in voxels."""
    return torch.stack(
        [
            (piece.tissue == tissue).nonzero().double().mean(dim=0) - 19.5
            for tissue in (Tissue.LIVER, Tissue.BOWEL, Tissue.LUNG)
        ]
    )


def deformed(seed: int, mirrored: bool, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    monkeypatch.setattr(deformation, "chance", lambda generator, probability: mirrored)
    center = torch.tensor([19.5, 19.5, 19.5])
    return offsets(deform(markers(), center, (40, 40, 40), (4.0, 4.0, 4.0), seeded(seed)))


@pytest.mark.parametrize("seed", range(5))
def test_deforming_turns_nobody_around(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = deformed(seed, False, monkeypatch)
    assert (found.diagonal() > 5).all()
    assert torch.equal(found.argmax(dim=1), torch.arange(3))


@pytest.mark.parametrize("seed", range(5))
def test_mirroring_swaps_left_and_right_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = deformed(seed, True, monkeypatch).diagonal()
    assert found[0] < -5
    assert (found[1:] > 5).all()


def test_a_piece_lies_around_its_center(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deformation, "chance", lambda generator, probability: False)
    center = torch.tensor([30.0, 19.0, 19.0])  # of the liver
    piece = deform(markers(), center, (9, 9, 9), (4.0, 4.0, 4.0), seeded())
    assert piece.tissue[4, 4, 4] == Tissue.LIVER


def test_beyond_the_anatomy_is_air() -> None:
    far = torch.tensor([500.0, 0.0, 0.0])
    piece = deform(markers(), far, (9, 9, 9), (4.0, 4.0, 4.0), seeded())
    assert (piece.tissue == Tissue.AIR).all()
    assert not piece.depth.any()


# library


def test_a_stored_anatomy_is_the_same(tmp_path: Path, anatomy: Anatomy) -> None:
    save_anatomy(tmp_path / "one.npz", anatomy)
    (stored,) = load_library(tmp_path)
    assert torch.equal(stored.tissue, anatomy.tissue)
    assert torch.equal(stored.depth, anatomy.depth)
    assert stored.spacing == SPACING


def test_an_empty_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        load_library(tmp_path)


def test_anatomies_that_exist_are_kept(tmp_path: Path) -> None:
    (tmp_path / "phantom_0000.npz").write_bytes(b"made before")
    assert [path.name for path in make_library(tmp_path, 1, 0, None)] == ["phantom_0000.npz"]
    assert (tmp_path / "phantom_0000.npz").read_bytes() == b"made before"


def test_implanting_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="need a data folder"):
        list(make_library(tmp_path, 0, 1, None))


def test_cases_that_measure_accuracy_do_not_train(tmp_path: Path) -> None:
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices" / "case_00003_a.npz").touch()
    (tmp_path / "labels" / "kits").mkdir(parents=True)
    for number in (2, 3, 190, 209, 210):
        (tmp_path / "labels" / "kits" / f"case_{number:05d}.nii.gz").touch()
    names = [path.name[5:10] for path in training_cases(tmp_path)]
    assert names == ["00002", "00210"]
    names = [path.name[5:10] for path in held_out_cases(tmp_path)]
    assert names == ["00003", "00190", "00209"]


def test_a_long_sample_continues_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "_MOST_DRAWN", 6)
    for slices in (6, 9):
        sample.write_sample(tmp_path / str(slices), slices=slices, size=48)
    short, long = (read_series(tmp_path / str(slices) / "dicom") for slices in (6, 9))
    assert torch.equal(long.image.as_tensor()[..., 1:7], short.image.as_tensor())
    assert torch.equal(long.image.as_tensor()[..., 0], short.image.as_tensor()[..., 0])
    first = to_world(np.asarray(long.image.affine), np.array([0, 0, 1]))
    np.testing.assert_allclose(first, np.asarray(short.image.affine)[:3, 3])
    label = load_nifti(tmp_path / "9" / "label.nii.gz", torch.uint8)
    torch.testing.assert_close(label.affine, long.image.affine, atol=1e-3, rtol=0)
