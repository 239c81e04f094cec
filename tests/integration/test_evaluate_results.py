"""`renalseg evaluate` on what runs and archives write, with drawn label maps."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.commands.main import main
from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.evaluation.evaluate import Evaluation, evaluate
from renalseg.geometry import Array
from renalseg.inference.choice import Choice
from renalseg.output.archive_table import put_rows
from renalseg.settings import Settings
from tests.factories.results import write_as_run
from tests.factories.series import write_case

SETTINGS = Settings(
    Choice(Path("bundles"), "kidney_x", "tumor_x", torch.device("cpu")),
    outputs=("seg", "labelmap", "nifti", "nrrd", "masks"),
)
KITS_AXES = np.array([[2, -1], [1, -1], [0, -1]])  # from R, A, S: stored I, P, L


def drawn(series: CTSeries) -> MetaTensor:
    """Two kidneys, one of them with a tumor."""
    values = np.zeros(series.image.shape, np.uint8)
    values[0, 4:9, 5:12, 3:15] = 1
    values[0, 14:19, 5:12, 3:15] = 1
    values[0, 5:8, 6:11, 5:10] = 2
    return MetaTensor(torch.from_numpy(values), affine=series.image.affine)


def study(folder: Path, name: str, out: Path) -> CTSeries:
    """A series and the result of a run on it."""
    write_case(folder / name, seed=name)
    series = read_series(folder / name)
    write_as_run(series, drawn(series), out, SETTINGS)
    return series


def save_label(series: CTSeries, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(drawn(series)[0].numpy(), np.asarray(series.image.affine)), path)
    return path


def kits_label(series: CTSeries, path: Path) -> Path:
    """A label as KiTS has it: axes I, P, L, and no origin."""
    ras = nib.as_closest_canonical(nib.load(save_label(series, path)))
    values = nib.orientations.apply_orientation(
        np.asarray(ras.dataobj), nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt("IPL")
        )
    )  # fmt: skip
    x, y, z = ras.header.get_zooms()
    affine: Array = np.array([[0, 0, -x, 0], [0, -y, 0, 0], [-z, 0, 0, 0], [0, 0, 0, 1]], float)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def dice(done: list[Evaluation]) -> list[tuple[str, float, float]]:
    return [(s.case, s.kits19["kidney"], s.kits19["tumor"]) for s in done[0].scores]


def uid(series: CTSeries, keyword: str) -> str:
    return str(series.headers[0][keyword].value)


def test_segs_in_one_folder_are_matched_by_uid(tmp_path: Path) -> None:
    segs = tmp_path / "segs"
    segs.mkdir()
    for name, keyword in (("a", "StudyInstanceUID"), ("b", "SeriesInstanceUID")):
        series = study(tmp_path, name, tmp_path / "out" / name)
        save_label(series, tmp_path / "labels" / f"{uid(series, keyword)}.nii.gz")
    shutil.copy(next((tmp_path / "out" / "a").glob("*.seg.dcm")), segs / "any.seg.dcm")
    shutil.copy(next((tmp_path / "out" / "b").glob("*.labelmap.dcm")), segs / "other.dcm")
    scores = dice(evaluate(segs, tmp_path / "labels"))
    assert [values for _, *values in scores] == [[1, 1], [1, 1]]


def test_an_archive_is_scored_past_what_it_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, labels = tmp_path / "out", tmp_path / "labels"
    series = study(tmp_path, "a", out / "a")
    for name in ("a", "b"):
        save_label(series, labels / f"{name}.nii.gz")
    put_rows(out / "archive.csv", "b", [{"study": "b", "exit_code": 2, "message": "gap of 5 mm"}])
    assert main(["evaluate", str(out), str(labels), "--out", str(tmp_path / "scores")]) == 2
    assert "Not scored, and in no mean: 1\n  b: no prediction: gap" in capsys.readouterr().out
    with (tmp_path / "scores" / "cases.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["case"], first["kits19_tumor_dice"], first["problem"]) == ("a", "1.0000", "")
    assert (second["case"], second["kits19_tumor_dice"]) == ("b", "")
    assert second["problem"] == "no prediction: gap of 5 mm"


def test_a_label_without_origin_needs_the_option_and_beside_a_seg_the_ct(tmp_path: Path) -> None:
    out = tmp_path / "out" / "a"
    series = study(tmp_path / "cts", "a", out)
    kits_label(series, tmp_path / "labels" / "a" / "segmentation.nii.gz")
    arguments = ["evaluate", str(tmp_path / "out"), str(tmp_path / "labels")]
    assert main(arguments) == 2
    assert main([*arguments, "--ignore-origin"]) == 2
    done = evaluate(
        tmp_path / "out", tmp_path / "labels", images=tmp_path / "cts", ignore_origin=True
    )
    assert dice(done) == [("a", 1, 1)]
    label_map = next(out.glob("*.nrrd"))
    label = tmp_path / "labels" / "a" / "segmentation.nii.gz"
    assert dice(evaluate(label_map, label, ignore_origin=True)) == [("a", 1, 1)]


def test_a_mirrored_label_without_origin_does_not_pass(tmp_path: Path) -> None:
    out = tmp_path / "out"
    series = study(tmp_path / "cts", "a", out)
    label = kits_label(series, tmp_path / "a.nii.gz")
    stored = nib.load(label)
    nib.save(nib.Nifti1Image(np.asarray(stored.dataobj)[..., ::-1], stored.affine), label)
    (score,) = evaluate(next(out.glob("*.nrrd")), label, ignore_origin=True)[0].scores
    assert score.kits19["tumor"] == 0


def test_one_bad_file_does_not_end_an_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    series = study(tmp_path, "a", tmp_path / "out")
    for folder in ("preds", "labels"):
        save_label(series, tmp_path / folder / "a.nii.gz")
        save_label(series, tmp_path / folder / "b.nii.gz")
    (tmp_path / "preds" / "b.nii.gz").write_bytes(b"nothing")
    (done,) = evaluate(tmp_path / "preds", tmp_path / "labels")
    assert [score.case for score in done.scores] == ["a"]
    assert done.exit_code == 2
    assert done.left_out[0].reason.startswith("Expected a NIfTI volume, cannot read")


def test_two_methods_are_compared_in_one_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    series = study(tmp_path, "ct", tmp_path / "run")
    image = drawn(series)
    for case in range(6):
        label = save_label(series, tmp_path / "labels" / f"<{case}>.nii.gz")
        shutil.copytree(label.parent, tmp_path / "good", dirs_exist_ok=True)
        worse = image[0].numpy().copy()
        worse[:, :, 3 : 5 + case] = 0
        (tmp_path / "bad").mkdir(exist_ok=True)
        saved = nib.Nifti1Image(worse, np.asarray(image.affine))
        nib.save(saved, tmp_path / "bad" / label.name)
    arguments = [str(tmp_path / name) for name in ("good", "bad", "labels")]
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "scores")]) == 0
    assert "bad minus good, 6 cases" in capsys.readouterr().out
    page = (tmp_path / "scores" / "comparison.html").read_text()
    assert "<h2>good and bad</h2>" in page
    assert "&lt;3&gt;" in page
    assert "<3>" not in page
    names = {path.name for path in (tmp_path / "scores").iterdir()}
    assert names == {"good", "bad", "comparison.html", "comparison.json"}
