from __future__ import annotations

from pathlib import Path

import pytest

from renalseg.data.case_lists import kits_cases, listed_cases
from renalseg.errors import InputError
from tests.factories.kits import write_list


def touch(root: Path, *numbers: int) -> None:
    for number in numbers:
        folder = root / f"case_{number:05d}"
        folder.mkdir()
        for name in ("imaging.nii.gz", "segmentation.nii.gz"):
            (folder / name).touch()


def numbers(root: Path, split: str | None) -> list[int]:
    return [int(case.name[5:]) for case in kits_cases(root, split)]


def test_cases_190_to_209_validate(tmp_path: Path) -> None:
    touch(tmp_path, 0, 4, 189, 190, 209, 210)
    assert numbers(tmp_path, "training") == [0, 4, 189, 210]
    assert numbers(tmp_path, "validation") == [190, 209]
    assert numbers(tmp_path, None) == [0, 4, 189, 190, 209, 210]


def test_where_none_of_those_is_every_fifth_validates(tmp_path: Path) -> None:
    touch(tmp_path, *range(11))
    assert numbers(tmp_path, "validation") == [4, 9]
    assert numbers(tmp_path, "training") == [0, 1, 2, 3, 5, 6, 7, 8, 10]


def test_cases_without_an_image_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, 0, 1)
    (tmp_path / "case_00001" / "imaging.nii.gz").unlink()
    assert numbers(tmp_path, None) == [0]


def test_a_folder_with_labels_alone_says_how_to_get_images(tmp_path: Path) -> None:
    touch(tmp_path, 0)
    (tmp_path / "case_00000" / "imaging.nii.gz").unlink()
    with pytest.raises(InputError, match="renalseg data kits19"):
        kits_cases(tmp_path)


def test_a_list_names_files_relative_to_itself(tmp_path: Path) -> None:
    touch(tmp_path, 3)
    (case,) = listed_cases(write_list(tmp_path / "list.json", training=[3]))
    assert case.image == tmp_path / "case_00003" / "imaging.nii.gz"
    assert case.label == tmp_path / "case_00003" / "segmentation.nii.gz"


def test_a_list_may_name_what_validates(tmp_path: Path) -> None:
    touch(tmp_path, 1, 2, 3)
    path = write_list(tmp_path / "list.json", training=[1, 3], validation=[2])
    assert [case.image.parent.name for case in listed_cases(path, "validation")] == ["case_00002"]
    assert len(listed_cases(path, "training")) == 2
    assert len(listed_cases(path)) == 3


def test_else_every_fifth_of_a_list_validates(tmp_path: Path) -> None:
    touch(tmp_path, *range(6))
    path = write_list(tmp_path / "list.json", training=list(range(6)))
    assert [case.image.parent.name for case in listed_cases(path, "validation")] == ["case_00004"]


@pytest.mark.parametrize("text", ["{", "[]", '{"training": [{"image": "a"}]}', '{"training": 3}'])
def test_other_files_are_no_lists(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(InputError, match=r"Expected a data list.*list\.json"):
        listed_cases(tmp_path / "list.json")


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='under "training"'):
        listed_cases(write_list(tmp_path / "list.json", test=[]))


def test_files_of_a_list_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not found: .*case_00005.imaging\.nii\.gz"):
        listed_cases(write_list(tmp_path / "list.json", training=[5]))
