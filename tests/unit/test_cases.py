from __future__ import annotations

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.inferers import SimpleInferer
from monai.transforms import Compose

from renalseg.cases import (
    CaseEvaluator,
    CaseFolder,
    find_cases,
    load_nifti,
    make_evaluator,
    name_of,
    save_nifti,
)
from renalseg.errors import InputError
from renalseg.grids import Grid
from renalseg.transforms import RestoreGridd
from tests.factories.scenes import GRIDS, ellipsoid, volume
from tests.factories.volumes import save

GRID = GRIDS["oblique"]
MARKER = ((-30.0, 9.0, 160.0), (14.0, 12.0, 13.0))


@pytest.fixture
def case(tmp_path: Path) -> Path:
    path = tmp_path / "cases" / "one.nii.gz"
    save_nifti(volume(ellipsoid(GRID, *MARKER).astype(np.uint8), GRID), path)
    return path


def test_what_is_written_is_read(case: Path) -> None:
    read = load_nifti(case, torch.uint8)
    np.testing.assert_array_equal(read[0].numpy(), ellipsoid(GRID, *MARKER))
    np.testing.assert_allclose(read.affine, GRID.affine, atol=1e-5)


def test_values_are_rescaled_as_the_header_says(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.full((4, 5, 6), 1024, np.int16), np.eye(4))
    image.header.set_slope_inter(1.0, -1024.0)
    image.to_filename(tmp_path / "ct.nii.gz")
    assert load_nifti(tmp_path / "ct.nii.gz", torch.float32).unique().tolist() == [0.0]


def test_a_fourth_axis_of_one_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "ct.nii.gz"
    nib.Nifti1Image(np.zeros((4, 5, 6, 1), np.int16), np.eye(4)).to_filename(path)
    assert load_nifti(path, torch.float32).shape == (1, 4, 5, 6)


def test_a_series_of_volumes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ct.nii.gz"
    nib.Nifti1Image(np.zeros((4, 5, 6, 2), np.int16), np.eye(4)).to_filename(path)
    with pytest.raises(InputError, match=r"3 axes, found shape \(4, 5, 6, 2\)"):
        load_nifti(path, torch.float32)


def test_sheared_axes_are_refused(tmp_path: Path) -> None:
    path, affine = tmp_path / "ct.nii.gz", np.eye(4)
    affine[0, 1] = 0.3
    nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), affine).to_filename(path)
    with pytest.raises(InputError, match="orthogonal"):
        load_nifti(path, torch.float32)


@pytest.mark.parametrize("part", [slice(0), slice(20), slice(-40)], ids=["empty", "head", "cut"])
def test_a_truncated_file_is_refused(case: Path, part: slice) -> None:
    case.write_bytes(case.read_bytes()[part])
    with pytest.raises(InputError, match=str(case)):
        load_nifti(case, torch.uint8)


def test_a_corrupt_file_is_refused(case: Path) -> None:
    content = bytearray(case.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = b"\xff" * 40
    case.write_bytes(content)
    with pytest.raises(InputError, match=str(case)):
        load_nifti(case, torch.uint8)


def test_no_partial_file_is_left(case: Path) -> None:
    assert [path.name for path in case.parent.iterdir()] == ["one.nii.gz"]


def test_cases_are_volumes_and_folders_by_name(case: Path) -> None:
    folder = case.parent
    (folder / "a_series").mkdir()
    (folder / "a_series" / "1.dcm").touch()
    (folder / "empty").mkdir()
    (folder / "notes.txt").touch()
    assert [path.name for path in find_cases(folder)] == ["a_series", "one.nii.gz"]


def test_hidden_files_are_no_cases(case: Path) -> None:
    (case.parent / ".one.part.nii.gz").touch()
    assert find_cases(case.parent) == [case]


@pytest.mark.parametrize("name", ["absent", "cases/empty"])
def test_a_folder_without_cases_is_refused(case: Path, name: str) -> None:
    folder = case.parent.parent / name
    (case.parent / "empty").mkdir()
    with pytest.raises(InputError, match=str(folder)):
        find_cases(folder)


def test_a_case_has_its_name_and_its_items(case: Path) -> None:
    (item,) = list(CaseFolder(case.parent, transform=lambda data: data["image"]))
    assert item["name"] == "one"
    assert item["grid"].shape == GRID.shape
    assert isinstance(item["grid"], Grid)
    assert item["items"].dtype == torch.float32


def test_a_kidney_mask_goes_with_its_case(case: Path) -> None:
    folder = CaseFolder(case.parent, transform=lambda data: data["kidney"], kidney_dir=case.parent)
    assert folder[0]["items"].dtype == torch.uint8


def test_a_missing_kidney_mask_is_named(case: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path / r"one\.nii\.gz")):
        CaseFolder(case.parent, transform=lambda data: data, kidney_dir=tmp_path)


def test_cases_may_lie_as_kits_has_them_and_in_any_format(case: Path) -> None:
    folder = case.parent
    values = ellipsoid(GRID, *MARKER).astype(np.uint8)
    names = ("two.nii", "three.mha", "case_4/imaging.nii.gz", "case_4/segmentation.nii.gz")
    for name in names:
        save(folder / name, values, GRID.affine)
    found = CaseFolder(folder, transform=lambda data: data["image"])
    assert [name_of(path) for path in found.paths] == ["case_4", "one", "three", "two"]
    for item in found:
        np.testing.assert_array_equal(item["items"][0], values)


def test_two_cases_of_one_name_are_refused(case: Path) -> None:
    save(case.parent / "one.mha", np.zeros(GRID.shape, np.uint8), GRID.affine)
    with pytest.raises(InputError, match=r"each case once in .*: one"):
        find_cases(case.parent)


def evaluator_of(folder: Path, out: Path, kidneys: Path | None = None) -> CaseEvaluator:
    """Everything above 0 is kidney."""
    return make_evaluator(
        device=torch.device("cpu"),
        dataset=CaseFolder(folder, lambda case: case, kidneys),
        network=torch.nn.Identity(),
        inferer=SimpleInferer(),
        postprocessing=Compose([RestoreGridd(keys="pred", threshold=0.5)]),
        output_dir=out,
    )


def test_one_bad_file_does_not_end_a_batch(case: Path, tmp_path: Path) -> None:
    (case.parent / "bad.nii").write_bytes(b"nothing")
    save(case.parent / "two.nrrd", ellipsoid(GRID, *MARKER).astype(np.int16), GRID.affine)
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"^1 of 3 cases could not be segmented: bad: Expected a"):
        evaluator_of(case.parent, out).run()
    assert {path.name for path in out.iterdir()} == {"one.nii.gz", "two.nii.gz", "cases.csv"}
    assert load_nifti(out / "two.nii.gz", torch.uint8).any()
    with (out / "cases.csv").open(newline="") as file:
        bad, one, two = csv.DictReader(file)
    assert (bad["case"], bad["file"]) == ("bad", "")
    assert bad["problem"].startswith("Expected a NIfTI volume, cannot read")
    assert one == {"case": "one", "file": "one.nii.gz", "problem": ""}
    assert two["file"] == "two.nii.gz"


def test_a_case_without_its_kidney_mask_is_a_bad_one(case: Path, tmp_path: Path) -> None:
    save_nifti(volume(np.ones(GRID.shape, np.uint8), GRID), case.parent / "two.nii.gz")
    masks = tmp_path / "kidneys"
    save_nifti(volume(np.ones(GRID.shape, np.uint8), GRID), masks / "one.nii.gz")
    other = GRIDS["axial"]
    save_nifti(volume(np.ones(other.shape, np.uint8), other), masks / "three.nii.gz")
    save_nifti(volume(np.ones(GRID.shape, np.uint8), GRID), case.parent / "three.nii.gz")
    evaluator = evaluator_of(case.parent, tmp_path / "out", masks)
    with pytest.raises(InputError, match="2 of 3 cases"):
        evaluator.run()
    assert sorted(evaluator.problems) == ["three", "two"]
    assert "a kidney mask on the grid of the image" in evaluator.problems["three"]
    assert str(masks / "two.nii.gz") in evaluator.problems["two"]
