"""Implanting KiTS kidneys into a torso, with tiny maps made for the purpose."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Generator

from renalseg.synthesis.template import Torso, load_torso
from renalseg.synthesis.tissues import RENAL, Anatomy, Tissue
from renalseg.synthesis.torso import implant, load_kits_kidneys

MM = 4.0
STRUCTURES = {
    "kidney_left": 1,
    "kidney_right": 2,
    "liver": 3,
    "aorta": 4,
    "inferior_vena_cava": 5,
    "vertebrae_L2": 6,
}


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def box(values: np.ndarray, value: int, *parts: tuple[int, int]) -> None:
    values[tuple(slice(a, b) for a, b in parts)] = value


@pytest.fixture(scope="module")
def torso(tmp_path_factory: pytest.TempPathFactory) -> Torso:
    """320 x 220 x 320 mm of organs; the patient's left is at low x of the RAS map."""
    values = np.zeros((80, 55, 80), np.uint8)
    box(values, STRUCTURES["kidney_left"], (18, 28), (15, 25), (25, 50))
    box(values, STRUCTURES["kidney_right"], (52, 62), (15, 25), (25, 50))
    box(values, STRUCTURES["liver"], (50, 78), (26, 50), (45, 75))
    box(values, STRUCTURES["aorta"], (35, 39), (22, 26), (0, 80))
    box(values, STRUCTURES["inferior_vena_cava"], (42, 47), (22, 26), (0, 80))
    box(values, STRUCTURES["vertebrae_L2"], (35, 46), (5, 18), (0, 80))
    values[2:6, 20:35] = STRUCTURES["liver"]  # what gives the other side its width
    folder = tmp_path_factory.mktemp("torso")
    path = folder / "torso.nii.gz"
    nib.save(nib.Nifti1Image(values, np.diag([MM, MM, MM, 1.0])), path)
    (folder / "torso.json").write_text(json.dumps({str(v): k for k, v in STRUCTURES.items()}))
    return load_torso(path)


@pytest.fixture(scope="module")
def kits_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A left kidney with a tumor and a right one with a cyst; hollow where the vessels enter."""
    values = np.zeros((80, 40, 60), np.uint8)
    box(values, 1, (15, 27), (10, 24), (10, 45))
    box(values, 0, (24, 27), (14, 20), (22, 33))  # the hilum, medial
    box(values, 2, (15, 20), (10, 15), (10, 18))
    box(values, 1, (53, 65), (10, 24), (10, 45))
    box(values, 0, (53, 56), (14, 20), (22, 33))
    box(values, 3, (60, 64), (18, 23), (36, 42))
    path = tmp_path_factory.mktemp("kits") / "case_00000.nii.gz"
    # as KiTS stores them: axes I, P, L
    affine = np.array([[0, 0, -3.0, 237], [0, -3.0, 0, 117], [-3.0, 0, 0, 177], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(values[::-1, ::-1, ::-1].transpose(2, 1, 0), affine), path)
    return path


@pytest.fixture(scope="module")
def patient(torso: Torso, kits_case: Path) -> Anatomy:
    return implant(torso, [kits_case], seeded(7))


def count(anatomy: Anatomy, *tissues: Tissue) -> int:
    wanted = torch.tensor(tissues, dtype=torch.uint8)
    return int(torch.isin(anatomy.tissue, wanted).sum())


def test_kidneys_of_a_case_come_with_their_sides(kits_case: Path) -> None:
    kidneys = dict(load_kits_kidneys(kits_case, MM))
    assert (kidneys[-1] == Tissue.TUMOR).any()
    assert (kidneys[1] == Tissue.CYST).any()
    assert not (kidneys[1] == Tissue.TUMOR).any()


def test_a_patient_has_the_kidneys_of_the_case(patient: Anatomy) -> None:
    ml = count(patient, *RENAL) * MM**3 / 1000
    assert 200 < ml < 350  # 2 x 149 ml in the case, less what bone takes
    assert count(patient, Tissue.TUMOR, Tissue.CYST) > 0


def test_nothing_is_left_of_the_torsos_own_kidneys(torso: Torso) -> None:
    assert not torch.isin(torso.tissue, torch.tensor(RENAL, dtype=torch.uint8)).any()


def test_renal_vessels_and_ureters_leave_the_kidneys(torso: Torso, kits_case: Path) -> None:
    patient = implant(torso, [kits_case], seeded(7))
    near = ndimage.binary_dilation(
        torch.isin(patient.tissue, torch.tensor(RENAL, dtype=torch.uint8)).numpy(), iterations=2
    )
    tissue = patient.tissue.numpy()
    for vessel in (Tissue.ARTERY, Tissue.VEIN, Tissue.URETER):
        assert (near & (tissue == vessel)).any(), vessel.name


def test_the_body_has_a_wall_of_muscle_under_fat(patient: Anatomy) -> None:
    middle = patient.tissue[:, :, patient.tissue.shape[2] // 2]
    column = middle[middle.shape[0] // 2].tolist()
    front = [value for value in reversed(column) if value != Tissue.AIR]
    assert front[0] == Tissue.FAT
    assert Tissue.MUSCLE in front[: front.index(int(Tissue.VISCERAL))]


def test_patients_differ_in_build(torso: Torso, kits_case: Path) -> None:
    widths = set()
    for seed in range(3):
        tissue = implant(torso, [kits_case], seeded(seed)).tissue
        body = (tissue != Tissue.AIR) & (tissue != Tissue.TABLE)
        widths.add(int(body.any(dim=2).any(dim=1).sum()))
    assert len(widths) == 3


def test_the_same_seed_is_the_same_patient(torso: Torso, kits_case: Path, patient: Anatomy) -> None:
    assert torch.equal(implant(torso, [kits_case], seeded(7)).tissue, patient.tissue)


def test_some_patients_lie_on_a_table(torso: Torso, kits_case: Path) -> None:
    tables = [count(implant(torso, [kits_case], seeded(s)), Tissue.TABLE) for s in range(6)]
    assert any(tables)
    assert not all(tables)
