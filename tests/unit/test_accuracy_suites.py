from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.dicom.write.ct import write_ct_series
from renalseg.errors import InputError
from renalseg.evaluation.overlap import dice
from renalseg.grids import Grid, resample
from renalseg.labels import KIDNEY, TUMOR
from tests.factories.anatomies import box_anatomy
from tests.factories.bodies import EARLY, LATE, PLAIN, breathed
from tests.factories.case_scores import make_score, tumor_free
from tests.factories.scenes import volume
from tools.accuracy.suites import synthetic
from tools.accuracy.suites.chain import chain_row, measure_chain, summarize_chain
from tools.accuracy.suites.phases import phases
from tools.accuracy.suites.real_ct import real_ct
from tools.accuracy.suites.slices import (
    IMAGE_KEY,
    LABEL_KEY,
    load_slice,
    measure_slice,
    real_slices,
    summarize_slices,
)
from tools.accuracy.suites.suite import Labeled
from tools.accuracy.suites.synthetic import draw_case

LINE = {"case": "135", "slice": "7", "spacing_x": "0.8", "spacing_y": "0.5", "spacing_z": "5.0"}
GRID = Grid((12, 10, 8), np.diag([-2.0, -2.0, 5.0, 1.0]))


def models(localize: Any = None, tumor: Any = None, refine: Any = None) -> Any:
    refine = refine or (lambda image, kidney: kidney)
    return SimpleNamespace(localize=localize, tumor=tumor, refine=refine, find_tumors=tumor)


def slice_file(folder: Path) -> Path:
    """Four rows and six columns: kidney in the first rows, a tumor of four pixels."""
    image, label = np.zeros((2, 4, 6), np.uint8)
    image[0, 5] = 200
    label[:3] = KIDNEY
    label[1, 1:5] = TUMOR
    np.savez(folder / "case_00135_slice_0007.npz", **{IMAGE_KEY: image, LABEL_KEY: label})
    return folder / "case_00135_slice_0007.npz"


def record(patient: str, dice: float, sensitivity: float = 0.5) -> dict[str, Any]:
    precision = math.nan if not sensitivity else 0.8
    return {
        "case": "any",
        "patient": patient,
        "dice": dice,
        "sensitivity": sensitivity,
        "precision": precision,
        "tumor_pixels": 10,
    }


def test_a_slice_becomes_a_stack_as_thick_as_a_tumor(tmp_path: Path) -> None:
    case = load_slice(slice_file(tmp_path), LINE)
    assert case.image.shape == case.label.shape == (1, 6, 4, 9)  # columns, rows, 45 mm
    assert case.image.affine.diag().tolist() == [-0.8, -0.5, 5.0, 1.0]
    assert case.facts == {"patient": "case_00135"}
    assert (case.image[0, 5, 0] == 200).all()
    assert (case.label[0, 2, 1] == TUMOR).all()
    assert case.label[0, :, 3].sum() == 0


def test_a_slice_is_scored_by_the_middle_of_what_is_found(tmp_path: Path) -> None:
    def find(image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        assert kidney.unique().tolist() == [0, 1]
        assert kidney.affine.equal(image.affine)
        pred = kidney.as_tensor().clone()
        pred[0, 3:6, 1, 4] = TUMOR  # two of four pixels, and one beside them
        return MetaTensor(pred, affine=image.affine)

    case = load_slice(slice_file(tmp_path), LINE)
    finding: Any = SimpleNamespace(find_unrefined=find)
    found = measure_slice(finding, "one", case)
    assert found["dice"] == pytest.approx(2 * 2 / 7)
    assert (found["sensitivity"], found["precision"]) == (0.5, pytest.approx(2 / 3))


def test_a_tumor_that_is_missed_has_no_precision(tmp_path: Path) -> None:
    case = load_slice(slice_file(tmp_path), LINE)
    missing: Any = SimpleNamespace(find_unrefined=lambda image, kidney: kidney)
    found = measure_slice(missing, "one", case)
    assert (found["dice"], found["sensitivity"]) == (0.0, 0.0)
    assert math.isnan(found["precision"])


def test_patients_count_alike_whatever_their_slices() -> None:
    records = [record("a", 0.9), record("a", 0.7), record("a", 0.8), record("b", 0.0, 0.0)]
    summary = summarize_slices(records)
    assert (summary["slices"], summary["patients"], summary["missed"]) == (4, 2, 1)
    assert summary["mean"]["dice"] == pytest.approx(0.6)
    assert summary["median_dice"] == pytest.approx(0.75)
    assert summary["mean_of_patients"]["dice"]["value"] == pytest.approx(0.4)
    assert summary["mean_of_patients"]["precision"]["value"] == pytest.approx(0.8)


def test_slices_without_a_tumor_count_apart() -> None:
    free = record("c", 0.0, math.nan) | {"tumor_pixels": 0, "precision": 0.0}
    quiet = record("c", math.nan, math.nan) | {"tumor_pixels": 0, "precision": math.nan}
    summary = summarize_slices([record("a", 0.9), free, quiet])
    assert (summary["slices"], summary["patients"], summary["median_dice"]) == (1, 1, 0.9)
    assert (summary["tumor_free"], summary["tumor_free_with_tumor"]) == (2, 1)


def test_the_slices_are_those_of_the_index(tmp_path: Path) -> None:
    (tmp_path / "slices").mkdir()
    slice_file(tmp_path / "slices")
    lines = [",".join(LINE), ",".join(LINE.values())]
    (tmp_path / "slices" / "index.csv").write_text("\n".join(lines))
    suite = real_slices(tmp_path)
    assert list(suite.cases) == ["case_00135_slice_0007"]
    assert suite.cases["case_00135_slice_0007"]().image.shape == (1, 6, 4, 9)


@pytest.mark.parametrize(
    "suite", [phases, real_ct, real_slices, lambda folder: synthetic.synthetic(folder, 2)]
)
def test_a_suite_without_its_data_is_refused(
    suite: Callable[[Path], object], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="data of a suite"):
        suite(tmp_path)


def test_the_label_of_a_phase_moves_with_each_kidney(tmp_path: Path) -> None:
    folder = tmp_path / "ct" / "kits0"
    for name, phase, up in (("arterial", EARLY, 0), ("late", LATE, 6), ("noncontrast", PLAIN, -9)):
        image, labels = breathed(phase, up, 0).volumes()
        write_ct_series(folder / name, image[0].numpy().astype(np.int16), image.affine.numpy())
        if phase == EARLY:
            # rows to posterior, columns to the left, slices from the top: as in every label of KiTS
            stored = labels[0].numpy()[::-1, ::-1, ::-1].T
            nib.save(nib.Nifti1Image(stored, np.eye(4)), folder / "arterial_label.nii.gz")
    suite = phases(tmp_path)
    assert len(suite.cases) == 3
    for name, up in zip(suite.cases, (0, 6, -9), strict=True):
        case = suite.cases[name]()
        _, truth = breathed(EARLY, up, 0).volumes()
        assert dice(case.label.as_tensor(), from_stored(case, truth)) > 0.9
        assert (case.label == TUMOR).any()


def from_stored(case: Labeled, truth: MetaTensor) -> torch.Tensor:
    """A drawn label on the grid of a case."""
    return resample(truth.as_tensor(), Grid.of(truth), Grid.of(case.image), "nearest")


def test_a_chain_is_scored_with_its_localizer() -> None:
    truth = np.zeros(GRID.shape, np.uint8)
    truth[2:10, 2:8, 2:7] = KIDNEY
    truth[2:6, 2:8, 2:7] = TUMOR
    label = volume(truth, GRID)

    def localize(image: MetaTensor) -> MetaTensor:
        kidney = label.as_tensor().gt(0).to(torch.uint8)
        kidney[0, :6] = 0  # half of it
        return MetaTensor(kidney, affine=image.affine)

    case = Labeled(volume(np.zeros(GRID.shape, np.float32), GRID), label, {"phase": "portal"})
    found = measure_chain(models(localize, lambda image, kidney: kidney), "one", case)
    kept = json.loads(json.dumps(found))
    row = chain_row(kept)
    assert row["localizer_dice"] == pytest.approx(2 * 4 / 12)
    assert (row["case"], row["phase"], row["lesions"], row["lesions_found"]) == (
        *("one", "portal"),
        *(1, 0),
    )
    assert row["kits19_kidney_dice"] == row["localizer_dice"]
    refined = measure_chain(
        models(localize, lambda image, kidney: kidney, lambda image, kidney: label), "one", case
    )
    row = chain_row(refined)
    assert row["localizer_dice"] == pytest.approx(2 * 4 / 12)
    assert row["kits19_kidney_dice"] == 1.0


def test_the_tumor_dice_is_that_of_scans_with_tumors() -> None:
    scores = [make_score(tumor=0.5), make_score(tumor=0.7), tumor_free("c", false_positives=2)]
    records = [{"localizer_dice": 0.9, "facts": {}, "score": asdict(s)} for s in scores]
    summary = summarize_chain(records)
    assert summary["tumor_dice"]["value"] == pytest.approx(0.6)
    assert summary["tumor_free_false_positives"]["value"] == 2.0
    assert summary["false_positives_ml"] == 2.0
    assert (summary["over_2_cm"]["found"], summary["over_2_cm"]["lesions"]) == (2, 2)


def test_tumors_count_apart_with_and_without_contrast() -> None:
    scores = {
        "portal": make_score(tumor=0.9),
        "corticomedullary": make_score(tumor=0.7, lesions=((30.0, 0.0), (15.0, 0.9))),
        "non_contrast": make_score(tumor=0.1, lesions=((25.0, 0.0),)),
        "excretory": tumor_free("free"),
    }
    records = [
        {"localizer_dice": 0.9, "facts": {"phase": phase}, "score": asdict(score)}
        for phase, score in scores.items()
    ]
    groups = summarize_chain(records)["by_contrast"]
    assert list(groups) == ["with contrast", "without contrast"]
    found = [
        (g["scans"], g["over_2_cm"]["found"], g["over_2_cm"]["lesions"]) for g in groups.values()
    ]
    assert found == [(2, 1, 2), (1, 0, 1)]
    assert groups["with contrast"]["tumor_dice"]["value"] == pytest.approx(0.8)
    assert groups["without contrast"]["tumor_dice"]["value"] == pytest.approx(0.1)


def test_where_the_phase_is_unknown_contrast_says_nothing() -> None:
    record = {"localizer_dice": 0.9, "facts": {}, "score": asdict(make_score())}
    assert summarize_chain([record])["by_contrast"] == {}


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anatomies of boxes, on a coarse grid."""
    monkeypatch.setattr(synthetic, "_with_tumor", lambda data_dir, generator: box_anatomy())
    monkeypatch.setattr(synthetic, "SPACING", (5.0, 5.0, 8.0))
    monkeypatch.setattr(synthetic, "_FIELD", (56, 40))


@pytest.mark.usefixtures("boxes")
def test_a_drawn_case_has_kidneys_and_tumor(tmp_path: Path) -> None:
    case = draw_case(tmp_path, 3)
    assert case.image.shape == case.label.shape
    assert case.label.unique().tolist() == [0, KIDNEY, TUMOR]
    assert case.image.affine.diag().tolist() == [-5.0, -5.0, 8.0, 1.0]
    assert not any(case.label[..., z].any() for z in (0, -1)), "kidneys are cut"


@pytest.mark.usefixtures("boxes")
def test_the_same_number_draws_the_same_case(tmp_path: Path) -> None:
    first, second, third = (draw_case(tmp_path, number) for number in (0, 0, 1))
    assert first.image.equal(second.image)
    assert first.image.shape != third.image.shape or not first.image.equal(third.image)


@pytest.mark.usefixtures("boxes")
def test_cysts_take_the_places_of_tumors(tmp_path: Path) -> None:
    with_tumors, without = (draw_case(tmp_path, 3, tumors=tumors) for tumors in (True, False))
    assert without.label.unique().tolist() == [0, KIDNEY]
    assert with_tumors.label.gt(0).equal(without.label.gt(0))
