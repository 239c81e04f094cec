from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from renalseg.commands.main import main
from renalseg.data.case_lists import case_name, kits_cases, listed_cases
from renalseg.data.folds import read_fold
from renalseg.errors import ConfigError
from renalseg.synthesis.library import training_cases
from tests.factories.kits import write_case, write_list

UNET = Path(__file__).parents[2] / "bundles" / "tumor_unet" / "configs" / "folds.yaml"
FILE = "folds:\n- [1, own/a.nii.gz]\n- [3]\nnever: [4]\n"


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    path = tmp_path / "folds.yaml"
    path.write_text(FILE)
    return path


def test_each_case_of_kits19_is_in_one_fold_or_in_the_test() -> None:
    folds = [read_fold(fold=fold) for fold in range(5)]
    never = folds[0].never
    assert all(fold.never == never for fold in folds)
    listed = [*never, *(name for fold in folds for name in fold.validation)]
    assert sorted(listed) == [case_name(number) for number in range(210)]
    assert {len(fold.validation) for fold in folds} == {39}


def test_kits19_has_the_folds_and_the_test_of_tumor_unet() -> None:
    other = yaml.safe_load(UNET.read_text())
    lists = {"never": other["never"], **dict(enumerate(other["folds"]))}
    own = {"never": read_fold().never, **{k: read_fold(fold=k).validation for k in range(5)}}
    for key, names in lists.items():
        numbers = {int(name.split()[1]) for name in names if name.startswith("kits ")}
        of_kits19 = {case_name(number) for number in numbers if number < 210}
        assert of_kits19
        assert of_kits19 <= own[key], key


def test_a_case_is_a_number_or_the_image_in_a_list(folds: Path) -> None:
    assert read_fold(folds, 0).validation == {"case_00001", "own/a.nii.gz"}
    assert read_fold(folds, 1).validation == {"case_00003"}
    assert read_fold(folds, 1).never == {"case_00004"}


@pytest.mark.parametrize(
    ("text", "fold", "message"),
    [
        (FILE, 2, r"fold from 0 to 1 of .*folds\.yaml, got 2"),
        (FILE, -1, "got -1"),
        ("folds: {a: 1}\n", 0, "Expected lists of cases"),
        ("folds: [1, 2]\n", 0, "Expected lists of cases"),
        ("[]", 0, "Expected names with values"),
    ],
)
def test_other_files_and_folds_are_refused(text: str, fold: int, message: str, folds: Path) -> None:
    folds.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_fold(folds, fold)


def test_a_fold_decides_for_folders_and_lists(folds: Path, tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        write_case(tmp_path / "kits", number)
    one = read_fold(folds, 0)
    named = {
        s: [c.name for c in kits_cases(tmp_path / "kits", s, one)]
        for s in ("training", "validation")
    }
    assert named == {"training": ["case_00002", "case_00003"], "validation": ["case_00001"]}
    path = write_list(tmp_path / "kits" / "list.json", training=[1, 2, 3], validation=[4])
    image = "case_00003/imaging.nii.gz"
    folds.write_text(f"folds: [[{image}]]\n")
    (case,) = listed_cases(path, "validation", read_fold(folds))
    assert case.name == image


def test_held_out_cases_are_those_of_the_fold(folds: Path, tmp_path: Path) -> None:
    for number in (1, 3):
        write_case(tmp_path / "kits", number)
    command = ["data", "held-out", str(tmp_path / "kits"), str(tmp_path / "val")]
    assert main([*command, "--fold", "1", "--folds", str(folds)]) == 0
    assert [path.name for path in (tmp_path / "val" / "cases").iterdir()] == ["case_00003.nii.gz"]
    assert main([*command, "--folds", str(folds)]) == 2


def test_a_library_for_a_fold_has_no_kidney_of_its_validation(folds: Path, tmp_path: Path) -> None:
    kits = tmp_path / "labels" / "kits"
    kits.mkdir(parents=True)
    for number in (1, 2, 3, 4, 195):
        (kits / f"case_{number:05d}.nii.gz").touch()
    left = [int(path.name[5:10]) for path in training_cases(tmp_path, read_fold(folds, 1))]
    assert left == [1, 2, 195]
    assert [int(path.name[5:10]) for path in training_cases(tmp_path)] == [1, 2, 3, 4]
