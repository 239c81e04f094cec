"""The tool that compares nephrometry with another program's."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from renalseg.errors import InputError
from renalseg.inference.methods import default_numbers
from tests.factories.scenes import make_grid
from tests.unit.test_nephrometry import CENTER, ball, kidney
from tools.__main__ import main
from tools.agreement import kappa, numbers_of, paired, points_table, report
from tools.nephrometry import measure_case, read_table

ROW = {"renal": "7ph", "padua": "9p", "c_index": "1.5", "renal_e": "2", "longest_mm": "30"}


def test_a_row_becomes_numbers_and_what_is_missing_is_left_out() -> None:
    assert numbers_of(ROW) == {
        **{"R.E.N.A.L. score": 7, "PADUA score": 9, "A, face": -1, "C-index": 1.5},
        "E, Exophytic": 2,
    }
    assert numbers_of({"renal": "", "renal_r": ""}) == {}


def test_weighted_kappa_is_that_of_the_table_of_confusion() -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(1, 4, 50), random.integers(1, 4, 50)
    observed = np.zeros((3, 3))
    np.add.at(observed, (first - 1, second - 1), 1 / 50)
    weights = np.square(np.subtract.outer(np.arange(3), np.arange(3)))
    chance = np.outer(observed.sum(axis=1), observed.sum(axis=0))
    expected = 1 - (weights * observed).sum() / (weights * chance).sum()
    assert kappa(first, second) == pytest.approx(expected)
    assert kappa(first, first) == 1
    assert np.isnan(kappa(np.ones(3), np.ones(3)))


def test_points_are_counted_by_how_much_ours_are_higher() -> None:
    ours = {str(n): {"renal_n": str(points)} for n, points in enumerate((1, 2, 3, 3))}
    theirs = {str(n): {"renal_n": str(points)} for n, points in enumerate((1, 1, 1, 3))}
    rows = points_table(paired({**ours, "ours alone": {"renal_n": "2"}}, theirs))
    cells = [cell.strip() for cell in rows[-1].strip("|").split("|")]
    assert cells[:3] == ["N, To sinus", "4", "50 %"]
    assert cells[4:] == ["0", "0", "2", "1", "1"]


def test_sizes_and_operations_of_the_facts_are_compared() -> None:
    small, large = ROW, {**ROW, "renal": "11x", "padua": "12x", "c_index": "0.5"}
    facts = {
        "a": {"radiographic_size": 2.8, "surgical_procedure": "partial_nephrectomy"},
        "b": {"radiographic_size": 3.0, "surgical_procedure": "radical_nephrectomy"},
    }
    text = report({"a": small, "b": large}, {"a": large, "b": small}, facts)
    assert "| ours | longest | 2 | +1.0 | 1.0 | +0 to +2 |" in text
    for name in ("R.E.N.A.L. score", "PADUA score", "C-index"):
        assert f"| {name} | 1 | 1 | 1.00 | 0.00 |" in text


def write_case(data: Path) -> None:
    """A left kidney with a larger and a smaller tumor, stored as KiTS does, along I, P, L."""
    grid = make_grid("IPL", (1.0, 1.0, 1.0), center=CENTER, extent=(80, 60, 122))
    labels = kidney(grid).astype(np.uint8)
    labels[ball(grid, (-18, 0, -42), 11)] = labels[ball(grid, (-16, 0, 30), 4)] = 2
    wide = np.pad(labels, ((0, 0), (0, 0), (120, 0)))  # the other half of the body
    folder = data / "labels" / "kits"
    folder.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(wide, grid.affine), folder / "case_00004.nii.gz")
    facts = {"radiographic_size": 2.1, "surgical_procedure": "partial_nephrectomy"}
    (folder / "kits23.json").write_text(json.dumps([{"case_id": "case_00004", **facts}]))


def test_the_command_measures_the_largest_tumor_and_resumes(tmp_path: Path) -> None:
    write_case(tmp_path)
    ours, theirs, page = (tmp_path / name for name in ("ours.csv", "theirs.csv", "page.md"))
    theirs.write_text("study,renal,renal_r\ncase_00004,6x,2\n")
    call = ["nephrometry", str(tmp_path), str(ours), "--oracle", str(theirs)]
    assert main([*call, "--markdown", str(page)]) == 0
    assert "| R, Longest | 1 | 0 % |" in page.read_text()
    assert "| ours | longest | 1 | +1." in page.read_text()
    row = read_table(ours)["case_00004"]
    assert (row["side"], row["renal"], row["padua"]) == ("left", "4x", "6x")
    (tmp_path / "labels" / "kits" / "case_00004.nii.gz").unlink()
    assert main([*call, "--markdown", str(page)]) == 0


def test_what_lies_far_from_the_kidneys_changes_no_measure(tmp_path: Path) -> None:
    write_case(tmp_path)
    path, sides = tmp_path / "labels" / "kits" / "case_00004.nii.gz", default_numbers().sides
    stored = nib.load(path)
    affine = stored.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ [30, 20, 40]
    nib.save(nib.Nifti1Image(np.pad(stored.dataobj, ((30,), (20,), (40,))), affine), path)
    far = measure_case(path, sides)
    write_case(tmp_path)
    near = measure_case(path, sides)
    assert near is not None
    assert far == near | {"image": far["image"]}


@pytest.mark.parametrize("text", ["case\na\n", "study\na\na\n"])
def test_a_table_without_studies_or_with_one_twice_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match="a line for each study"):
        read_table(tmp_path / "t.csv")
