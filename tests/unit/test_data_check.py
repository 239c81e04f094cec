from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from renalseg.commands.main import main
from renalseg.data import check as module
from renalseg.data.check import check, check_case
from renalseg.errors import InputError
from tests.factories.kits import as_kits, kits_affine, patient, write_case

HU, TRUTH = patient()


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIXELS", (32, 44))


def texts(folder: Path, *, broken: bool, **options: Any) -> str:
    found = check_case(folder, **options)
    assert [finding.broken for finding in found] == [broken] * len(found)
    assert len(found) == 1
    return found[0].text


def test_nothing_is_said_of_an_ordinary_case(tmp_path: Path) -> None:
    assert check_case(write_case(tmp_path)) == []


def test_missing_files_are_named(tmp_path: Path) -> None:
    folder = write_case(tmp_path)
    (folder / "imaging.nii.gz").unlink()
    assert "missing: imaging.nii.gz;" in texts(folder, broken=True)


def test_grids_that_differ_are_broken(tmp_path: Path) -> None:
    assert "shape" in texts(write_case(tmp_path, label=TRUTH[:, :, 1:]), broken=True)


def test_rounded_affines_are_the_same_grid(tmp_path: Path) -> None:
    folder = write_case(tmp_path)
    label = nib.Nifti1Image(as_kits(TRUTH).astype(np.uint16), kits_affine())
    label.set_qform(kits_affine(), 1)  # some labels of KiTS19 have a quaternion alone
    label.set_sform(None, 0)
    nib.save(label, folder / "segmentation.nii.gz")
    assert check_case(folder) == []


def test_other_label_values_are_broken(tmp_path: Path) -> None:
    label = TRUTH.copy()
    label[20, 20, 20] = 7
    assert "[7]" in texts(write_case(tmp_path, label=label), broken=True)


def test_a_label_without_kidney_is_broken(tmp_path: Path) -> None:
    folder = write_case(tmp_path, label=np.zeros_like(TRUTH))
    assert "no kidney" in texts(folder, broken=True)


def test_a_label_without_tumor_is_worth_a_note(tmp_path: Path) -> None:
    assert "no tumor" in texts(write_case(tmp_path, label=np.minimum(TRUTH, 1)), broken=False)


def test_an_image_that_is_no_ct_is_broken(tmp_path: Path) -> None:
    assert "not HU" in texts(write_case(tmp_path, hu=np.zeros_like(HU)), broken=True)


def test_a_cut_image_is_broken(tmp_path: Path) -> None:
    folder = write_case(tmp_path)
    image = folder / "imaging.nii.gz"
    image.write_bytes(image.read_bytes()[:-30])
    assert "imaging.nii.gz" in texts(folder, broken=True)
    assert check_case(folder, voxels=False) == []


def test_slices_that_are_not_square_are_worth_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as case_00160, of 512 x 796 pixels, which is in order
    monkeypatch.setattr(module, "_PIXELS", (512, 512))
    assert "32 x 44 pixels" in texts(write_case(tmp_path), broken=False)


def test_another_orientation_is_worth_a_note(tmp_path: Path) -> None:
    folder = write_case(tmp_path)
    for values, name in ((HU, "imaging"), (TRUTH, "segmentation")):
        nib.save(nib.Nifti1Image(values, np.diag([4.0, 4.0, 5.0, 1.0])), folder / f"{name}.nii.gz")
    assert "RAS" in texts(folder, broken=False)


def test_cases_that_should_be_there_are_missing(tmp_path: Path) -> None:
    write_case(tmp_path, 2)
    found = [item for case in check(tmp_path, [2, 3], jobs=1) for item in case]
    assert [(item.case, item.broken) for item in found] == [("case_00003", True)]


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="case_00000"):
        list(check(tmp_path))


@pytest.mark.parametrize(("top", "code", "said"), [(3, 0, "0 to be fixed"), (9, 2, "1 to be")])
def test_the_command_ends_with_2_if_something_is_to_be_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], top: int, code: int, said: str
) -> None:
    write_case(tmp_path, label=np.where(TRUTH == 3, top, TRUTH).astype(np.uint8))
    assert main(["data", "check", str(tmp_path), "--jobs", "1"]) == code
    assert f"1 case, {said}" in capsys.readouterr().out


def test_the_command_takes_ranges_of_cases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path, 1)
    assert main(["data", "check", str(tmp_path), "--cases", "1,3-4", "--quick"]) == 2
    assert "3 cases, 2 to be fixed" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["data", "check", str(tmp_path), "--cases", "all"])
