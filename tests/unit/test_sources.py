from __future__ import annotations

import os
from pathlib import Path

import pytest

from renalseg.errors import ConfigError, InputError
from renalseg.synthesis.library import save_anatomy
from renalseg.synthesis.patches import SyntheticPatches
from renalseg.synthesis.patient import DrawnPatient, Patient
from renalseg.training import sources
from renalseg.training.real_patient import RealPatient
from renalseg.training.sources import load_patients
from tests.factories.anatomies import box_anatomy
from tests.factories.kits import write_case, write_list


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Three anatomies of one kind, that differ in their spacing, and one of another."""
    folder = tmp_path / "library"
    folder.mkdir()
    for i in range(3):
        anatomy = box_anatomy()._replace(spacing=(4.0, 4.0, 4.0 + i))
        save_anatomy(folder / f"box_{i:04d}.npz", anatomy)
    save_anatomy(folder / "phantom_0000.npz", box_anatomy()._replace(spacing=(4.0, 4.0, 9.0)))
    return folder


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kits")
    for number in (0, 1, 190):
        write_case(root, number)
    return root


def thickness(patients: object) -> list[float]:
    return [patient.spacing[2] for patient in patients]  # type: ignore[attr-defined]


def test_a_library_gives_its_anatomies(library: Path) -> None:
    patients = load_patients(library)
    assert all(isinstance(patient, DrawnPatient) for patient in patients)
    assert thickness(patients) == [4.0, 5.0, 6.0, 9.0]


def test_the_last_of_each_kind_validate_but_a_single_one_trains(library: Path) -> None:
    assert thickness(load_patients(library, "validation")) == [6.0]
    assert thickness(load_patients(library, "training")) == [4.0, 5.0, 9.0]


def test_a_tenth_of_a_kind_validates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(25):
        (tmp_path / f"box_{i:04d}.npz").touch()
    monkeypatch.setattr(
        sources,
        "load_anatomy",
        lambda path: box_anatomy()._replace(spacing=(1, 1, int(path.stem[4:]))),
    )
    assert thickness(load_patients(tmp_path, "validation")) == [23, 24]
    assert len(load_patients(tmp_path, "training")) == 23


def test_a_kits_folder_gives_real_patients(kits: Path) -> None:
    patients = load_patients(str(kits))
    assert all(isinstance(patient, RealPatient) for patient in patients)
    assert len(patients) == 3
    assert len(load_patients(kits, "training")) == 2
    assert len(load_patients(kits, "validation")) == 1


def test_a_data_list_gives_real_patients(kits: Path) -> None:
    path = write_list(kits / "list.json", training=[0], validation=[1])
    assert len(load_patients(path)) == 2
    assert len(load_patients(path, "validation")) == 1


def test_several_sources_are_mixed(library: Path, kits: Path) -> None:
    patients = load_patients([library, str(kits)], "training")
    kinds = [type(patient) for patient in patients]
    assert kinds == [DrawnPatient] * 3 + [RealPatient] * 2
    stream = iter(SyntheticPatches(patients, (8, 8, 8), (6.0, 6.0, 6.0)))
    assert {next(stream)["case"] for _ in range(40)} == set(range(5))


def test_conversions_lie_beside_the_cases(kits: Path) -> None:
    (patient,) = load_patients(kits, "validation")
    assert isinstance(patient, RealPatient)
    assert patient.folder.parent == kits / ".renalseg"


def test_where_nothing_can_be_written_they_go_to_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setenv("RENALSEG_CACHE", str(tmp_path / "cache"))
    assert sources.cache_for(tmp_path / "kits") == tmp_path / "cache" / "cases"


def test_what_is_no_source_is_told_what_would_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"renalseg library.*case_00000.*data list.*none of these"):
        load_patients(tmp_path)
    with pytest.raises(InputError, match=r"absent.*no such folder"):
        load_patients(tmp_path / "absent")


def test_a_split_without_patients_is_refused(tmp_path: Path) -> None:
    save_anatomy(tmp_path / "box_0000.npz", box_anatomy())
    with pytest.raises(InputError, match="patients for validation"):
        load_patients(tmp_path, "validation")


def test_no_source_is_refused() -> None:
    with pytest.raises(InputError, match="at least one source"):
        load_patients([])


def test_other_splits_are_refused(library: Path) -> None:
    with pytest.raises(ConfigError, match="'test'"):
        load_patients(library, "test")


def test_both_kinds_are_patients(library: Path, kits: Path) -> None:
    patients: list[Patient] = [*load_patients(library), *load_patients(kits)]
    for patient in patients:
        assert len(patient.kidneys) == 2
        assert all(points.shape[1] == 3 for points in patient.landmarks.values())
