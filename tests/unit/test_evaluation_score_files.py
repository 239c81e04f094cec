from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from renalseg.cases import save_nifti
from renalseg.errors import InputError
from renalseg.evaluation.pairs import LeftOut, find_pairs
from renalseg.evaluation.read import read_labels, read_prediction
from renalseg.evaluation.score_files import write_rows
from tests.factories.scenes import make_grid, volume
from tests.factories.volumes import TURNS, save, turned

GRID = make_grid("LPS")


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names_of(pred: Path, label: Path) -> list[tuple[str, str, str]]:
    return [
        (p.case, str(p.pred.relative_to(pred)), str(p.label.relative_to(label)))
        for p in find_pairs(pred, label).pairs
    ]


def test_files_are_matched_by_name(tmp_path: Path) -> None:
    preds = touch(tmp_path / "preds", "b.nii.gz", "a.nii.gz", "metrics.csv", ".c.nii.gz")
    labels = touch(tmp_path / "labels", "a.nii.gz", "b.nii.gz", "readme.md")
    assert names_of(preds, labels) == [
        ("a", "a.nii.gz", "a.nii.gz"),
        ("b", "b.nii.gz", "b.nii.gz"),
    ]


def test_labels_may_lie_as_kits_has_them(tmp_path: Path) -> None:
    preds = touch(tmp_path / "preds", "case_00000.nii.gz", "case_00001.nii.gz")
    labels = touch(tmp_path / "labels", "case_00000/segmentation.nii.gz", "case_00001.nii.gz")
    touch(labels, "case_00000/imaging.nii.gz", "case_00009/imaging.nii.gz")
    assert names_of(preds, labels) == [
        ("case_00000", "case_00000.nii.gz", "case_00000/segmentation.nii.gz"),
        ("case_00001", "case_00001.nii.gz", "case_00001.nii.gz"),
    ]


def test_predictions_may_be_what_the_application_writes(tmp_path: Path) -> None:
    preds = touch(tmp_path / "preds", "a/result.json", "a/1.2.seg.dcm", "b.seg.dcm", "archive.csv")
    labels = touch(tmp_path / "labels", "a.nii.gz", "b.nii.gz")
    assert [path for _, path, _ in names_of(preds, labels)] == ["a", "b.seg.dcm"]


def test_a_result_folder_goes_with_one_label(tmp_path: Path) -> None:
    pred = touch(tmp_path / "out", "result.json")
    label = touch(tmp_path / "case_7", "segmentation.nii.gz") / "segmentation.nii.gz"
    assert find_pairs(pred, label).pairs == [("case_7", pred, label)]


def test_missing_and_superfluous_predictions_are_listed(tmp_path: Path) -> None:
    preds = touch(tmp_path / "preds", "a.nii.gz", "c.nii.gz", "d.nii.gz")
    labels = touch(tmp_path / "labels", "a.nii.gz", "b.nii.gz")
    assert find_pairs(preds, labels).left_out == [
        LeftOut("b", "no prediction"),
        LeftOut("c", "no label", False),
        LeftOut("d", "no label", False),
    ]
    (preds / "a.nii.gz").unlink()
    with pytest.raises(InputError, match="missing: a, b; without a label: c, d"):
        find_pairs(preds, labels)


def test_predictions_without_a_label_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preds = touch(tmp_path / "preds", "a.nii.gz", "c.nii.gz", "d.mha")
    labels = touch(tmp_path / "labels", "a.nii.gz")
    assert [pair.case for pair in find_pairs(preds, labels).pairs] == ["a"]
    said = "Warning: 2 of 3 predictions left out, without a label: c, d"
    assert capsys.readouterr().err.strip() == said


def test_a_case_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    preds = touch(tmp_path / "preds", "a.nii.gz")
    labels = touch(tmp_path / "labels", "a.nii.gz", "a/segmentation.nii.gz")
    with pytest.raises(InputError, match="case a once"):
        find_pairs(preds, labels)


@pytest.mark.parametrize(
    ("pred", "label", "message"),
    [
        ("absent", "labels", "absent"),
        ("preds/a.nii.gz", "labels", "one label"),
        ("preds", "labels/a.nii.gz", "a folder of labels"),
        ("preds", "preds/empty", "found none"),
    ],
)
def test_what_does_not_go_together_is_refused(
    pred: str, label: str, message: str, tmp_path: Path
) -> None:
    touch(tmp_path, "preds/a.nii.gz", "labels/a.nii.gz")
    (tmp_path / "preds" / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        find_pairs(tmp_path / pred, tmp_path / label)


@pytest.mark.parametrize("value", [4, -1])
def test_other_values_are_refused(value: int, tmp_path: Path) -> None:
    values = np.full(GRID.shape, value, np.int16)
    save_nifti(volume(values, GRID), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=f"values 0 to 3 .*found {value} to {value}"):
        read_labels(tmp_path / "a.nii.gz")


def result(folder: Path, *studies: dict[str, Any]) -> Path:
    (folder / "result.json").write_text(json.dumps({"studies": studies}))
    return folder


@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.mha"])
def test_label_maps_of_all_formats_are_read_and_turned(name: str, tmp_path: Path) -> None:
    values = np.zeros(GRID.shape, np.uint8)
    values[2:5, 3:9, 4] = 2
    label = volume(values, GRID)
    save(tmp_path / name, *turned(values, GRID.affine, TURNS[13]))
    pred = read_prediction(tmp_path / name, label)
    np.testing.assert_array_equal(pred[0].numpy(), values)
    np.testing.assert_allclose(pred.affine, label.affine, atol=1e-4)


def test_the_label_map_of_a_result_is_told_from_its_masks(tmp_path: Path) -> None:
    values = np.zeros(GRID.shape, np.uint8)
    values[2:5, 3:9, 4] = 2
    save(tmp_path / "ct.nii.gz", values, GRID.affine)
    files = ["ct-left_kidney.nii.gz", "ct-left_kidney_tumor_1.nii.gz", "ct.nii.gz"]
    segments = [{"label": "Left kidney"}, {"label": "Left kidney tumor 1"}]
    study = {"finding": "tumor found", "segments": segments}
    label = volume(values, GRID)
    folder = result(tmp_path, {**study, "files": files})
    np.testing.assert_array_equal(read_prediction(folder, label)[0].numpy(), values)
    with pytest.raises(InputError, match=r"Expected a \.seg\.dcm or a label map"):
        read_prediction(result(tmp_path, {**study, "files": files[:2]}), label)


NOTHING = {"finding": "no kidney found", "files": ["1.2.sr.dcm"], "segments": []}
REFUSAL = {"finding": "refused", "reason": "gap of 5 mm"}


def test_a_result_without_a_segmentation_found_no_kidney(tmp_path: Path) -> None:
    label = volume(np.ones(GRID.shape, np.uint8), GRID)
    pred = read_prediction(result(tmp_path, NOTHING, REFUSAL), label)
    assert pred.shape == label.shape
    assert not pred.any()


@pytest.mark.parametrize(
    ("studies", "message"),
    [
        ([], "one study in .*, found 0"),
        ([REFUSAL], "found 0; refused: gap of 5 mm"),
        ([NOTHING, NOTHING], "found 2. For several, give the .seg.dcm of each"),
        ([{**NOTHING, "segments": [{}]}], "run with seg, nifti, nrrd or mha in outputs"),
    ],
)
def test_a_result_that_is_no_prediction_is_refused(
    studies: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    label = volume(np.ones(GRID.shape, np.uint8), GRID)
    with pytest.raises(InputError, match=message):
        read_prediction(result(tmp_path, *studies), label)


def test_a_case_named_like_a_formula_is_none(tmp_path: Path) -> None:
    write_rows(tmp_path / "cases.csv", [{"case": "=1+1", "dice": 0.5}])
    assert (tmp_path / "cases.csv").read_text() == "case,dice\n'=1+1,0.5000\n"
