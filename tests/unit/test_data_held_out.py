from __future__ import annotations

from pathlib import Path

import pytest

from renalseg.commands.main import main
from renalseg.data.held_out import link_held_out
from renalseg.errors import InputError
from tests.factories.kits import write_case, write_list


@pytest.fixture
def kits(tmp_path: Path) -> Path:
    """A download that stopped: of the cases that validate, one has only its label."""
    for number in (0, 190, 200):
        write_case(tmp_path / "kits", number)
    (tmp_path / "kits" / "case_00200" / "imaging.nii.gz").unlink()
    return tmp_path / "kits"


def test_the_cases_that_are_there_are_linked(kits: Path, tmp_path: Path) -> None:
    for _ in range(2):  # a second call finds its links
        assert main(["data", "held-out", str(kits), str(tmp_path / "val")]) == 0
    for folder, file in (("cases", "imaging"), ("labels", "segmentation")):
        (link,) = (tmp_path / "val" / folder).iterdir()
        assert link.name == "case_00190.nii.gz"
        assert link.resolve() == kits / "case_00190" / f"{file}.nii.gz"


def test_a_data_list_says_which_cases_validate(kits: Path, tmp_path: Path) -> None:
    path = write_list(kits / "cases.json", training=[190], validation=[0])
    assert link_held_out(path, tmp_path / "val") == ["case_00000_imaging"]


def test_a_file_is_not_replaced(kits: Path, tmp_path: Path) -> None:
    path = tmp_path / "cases" / "case_00190.nii.gz"
    path.parent.mkdir()
    path.write_text("mine")
    with pytest.raises(InputError, match=str(path)):
        link_held_out(kits, tmp_path)
    assert path.read_text() == "mine"


def test_where_nothing_validates_it_is_said(tmp_path: Path) -> None:
    write_case(tmp_path / "kits", 0)
    with pytest.raises(InputError, match=r"validate in .*kits, found none"):
        link_held_out(tmp_path / "kits", tmp_path / "val")
    assert not (tmp_path / "val").exists()
