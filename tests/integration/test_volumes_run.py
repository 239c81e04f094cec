"""Volumes through every door: the same road as DICOM, results on the grid of the input."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dcm2niix
import dicom2nifti
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from monai.data import MetaTensor

import renalseg
from renalseg import archive, segmenter
from renalseg.archive import segment_archive
from renalseg.commands.inspect import inspect_folder
from renalseg.commands.main import main
from renalseg.errors import ConfigError, InputError
from renalseg.output.folder import read_result
from renalseg.runtime import log
from renalseg.settings import Settings
from tests.factories.road import run_with
from tests.factories.series import CASES, write_case
from tests.factories.volumes import TURNS, canonical, drawn, image_of, save, turned
from tests.integration.test_run import Bright

OUTPUTS = ("nifti", "masks")
FORMATS = ("ct.nii", "ct.nii.gz", "ct.nrrd", "ct.mha")


class Both(Bright):
    """The marker is a tumor in a kidney that is all else of the body."""

    def __init__(self, outputs: tuple[str, ...] | None = None) -> None:
        super().__init__()
        if outputs is not None:
            object.__setattr__(self.settings, "outputs", outputs)

    def __enter__(self) -> Both:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def find_kidneys(self, image: MetaTensor) -> MetaTensor:
        return MetaTensor((image.as_tensor() > 0).byte(), affine=image.affine)

    def find_tumors(self, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        return MetaTensor(kidney.as_tensor() + (image.as_tensor() > 500), affine=image.affine)


def values_of(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def stored(folder: Path) -> dict[str, Any]:
    (study,) = read_result(folder)["studies"]
    return study


def measures(folder: Path) -> list[dict[str, Any]]:
    """What was measured, without the slice, which the formats count differently."""
    return [{**segment, "image": None} for segment in stored(folder)["segments"]]


@pytest.mark.parametrize("case", CASES)
def test_a_volume_gives_what_its_series_gives(tmp_path: Path, case: str) -> None:
    write_case(tmp_path / "dicom", CASES[case])
    run_with(tmp_path / "dicom", tmp_path / "one", Both(OUTPUTS))
    save(tmp_path / "ct.nii.gz", *turned(*drawn(CASES[case]), TURNS[29]))
    run_with(tmp_path / "ct.nii.gz", tmp_path / "two", Both(OUTPUTS))
    stem = stored(tmp_path / "one")["files"][0].removesuffix(".nii.gz")
    # of another pose, the middle of the body is taken from other voxels, or rounded otherwise
    alike = case in ("normal", "reversed", "anisotropic")
    if alike:
        assert measures(tmp_path / "two") == measures(tmp_path / "one")
        assert len(measures(tmp_path / "two")) >= 2
    for suffix in ("", "-left_kidney", "-left_kidney_tumor_1") if alike else ("",):
        one = nib.load(tmp_path / "one" / f"{stem}{suffix}.nii.gz")
        two = nib.load(tmp_path / "two" / f"ct{suffix}.nii.gz")
        a, where = canonical(np.asarray(one.dataobj), one.affine)
        b, there = canonical(np.asarray(two.dataobj), two.affine)
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(where, there, atol=1e-3)
        assert a.any()


@pytest.mark.parametrize("name", FORMATS)
def test_the_label_map_lies_on_its_source_in_the_same_format(tmp_path: Path, name: str) -> None:
    hu, affine = turned(*drawn(CASES["oblique"]), TURNS[13])
    source = save(tmp_path / name, hu, affine)
    result = run_with(source, tmp_path / "out", Both())
    written = {"ct.nii": "ct.nii.gz"}.get(name, name)
    assert [path.name for path in result.paths] == [written, "result.json"]
    expected = np.where(hu > 500, 2, hu > 0).T
    np.testing.assert_array_equal(values_of(tmp_path / "out" / written), expected)
    first, second = (sitk.ReadImage(str(path)) for path in (source, tmp_path / "out" / written))
    np.testing.assert_allclose(first.GetDirection(), second.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(first.GetOrigin(), second.GetOrigin(), atol=1e-4)


def test_the_account_names_case_file_and_slice(tmp_path: Path) -> None:
    # stored from superior to inferior
    save(tmp_path / "a b.nii.gz", *turned(*drawn(), np.array([[0, 1], [1, 1], [2, -1]])))
    run_with(tmp_path / "a b.nii.gz", tmp_path / "out", Both())
    content = read_result(tmp_path / "out")
    (study,), (series,) = content["studies"], content["series"]
    assert (study["study"], study["series"], study["slices"]) == ("a b", "a b.nii.gz", 22)
    assert (series["study"], series["status"], series["slices"]) == ("a b", "processed", 22)
    assert content["files"]["processed"] == 1
    tumor = study["segments"][-1]
    values = np.asarray(nib.load(tmp_path / "out" / "a b.nii.gz").dataobj)
    number = int(tumor["image"].removesuffix(" of 22"))
    assert (values[:, :, number - 1] == 2).sum() == (values == 2).sum(axis=(0, 1)).max()


def test_a_folder_of_volumes_is_a_study_each(tmp_path: Path) -> None:
    root = tmp_path / "in"
    save(root / "a.nii.gz", *drawn())
    save(root / "sub" / "b.mha", *drawn(CASES["oblique"]))
    save(root / "case_3" / "imaging.nii.gz", *drawn())
    save(root / "case_3" / "segmentation.nii.gz", (drawn()[0] > 0).astype(np.uint8), drawn()[1])
    save(root / "mask.nrrd", (drawn()[0] > 0).astype(np.uint8), drawn()[1])
    (root / "notes.txt").write_text("nothing")
    run_with(root, tmp_path / "out", Both())
    content = read_result(tmp_path / "out")
    found = {study["study"]: study["finding"] for study in content["studies"]}
    tumor = "tumor found"
    assert found == {"a": tumor, "case_3": tumor, "mask": "refused", "sub-b": tumor}
    assert "8 bits a voxel" in content["studies"][2]["reason"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"a.nii.gz", "case_3.nii.gz", "sub-b.mha", "result.json"}
    files = content["files"]
    assert files["processed"] == 3
    assert files["skipped"] == {
        "label of KiTS": ["case_3/segmentation.nii.gz"],
        "no volume": ["notes.txt"],
    }
    assert list(files["refused"].values()) == [["mask.nrrd"]]


def test_two_volumes_of_one_name_are_told_apart_or_refused(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.nii.gz", *drawn())
    save(tmp_path / "in" / "a.mha", *drawn())
    run_with(tmp_path / "in", tmp_path / "out", Both())
    findings = [study["finding"] for study in read_result(tmp_path / "out")["studies"]]
    assert sorted(findings) == ["refused", "tumor found"]


def test_volumes_beside_dicom_are_not_looked_at(tmp_path: Path) -> None:
    write_case(tmp_path / "in")
    save(tmp_path / "in" / "ct.nii.gz", *drawn())
    run_with(tmp_path / "in", tmp_path / "out", Both())
    content = read_result(tmp_path / "out")
    assert len(content["studies"]) == 1
    assert content["files"]["skipped"] == {"gzip file, not opened": ["ct.nii.gz"]}


def test_volumes_in_an_archive_are_unpacked(tmp_path: Path) -> None:
    save(tmp_path / "imaging.nii.gz", *drawn())
    with zipfile.ZipFile(tmp_path / "case_7.zip", "w") as packed:
        packed.write(tmp_path / "imaging.nii.gz", "imaging.nii.gz")
    run_with(tmp_path / "case_7.zip", tmp_path / "out", Both())
    assert stored(tmp_path / "out")["study"] == "case_7"


def test_all_refused_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.nii", drawn()[0].astype(np.float32) * np.nan, drawn()[1])
    save(tmp_path / "in" / "b.nii", drawn()[0], np.eye(4))
    with pytest.raises(InputError, match=r"study a: .*NaN.*study b: .*the identity") as caught:
        run_with(tmp_path / "in", tmp_path / "out", Both())
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_results_never_replace_their_source(tmp_path: Path) -> None:
    source = save(tmp_path / "cts" / "ct.nii.gz", *drawn())
    before = source.read_bytes()
    for given in (source, source.parent):
        with pytest.raises(InputError, match="an output folder other than that of the volumes"):
            run_with(given, tmp_path / "cts", Both())
    assert [path.name for path in source.parent.iterdir()] == ["ct.nii.gz"]
    assert source.read_bytes() == before


def test_a_rerun_replaces_what_it_lists_and_keeps_other_cases(tmp_path: Path) -> None:
    source = save(tmp_path / "ct.mha", *drawn())
    run_with(source, tmp_path / "out", Both(("mha", "masks")))
    assert len(list((tmp_path / "out").iterdir())) > 2
    run_with(source, tmp_path / "out", Both(("nrrd",)))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"ct.nrrd", "result.json"}
    other = save(tmp_path / "other.mha", *drawn())
    with pytest.raises(InputError, match="found those of study ct"):
        run_with(other, tmp_path / "out", Both())


def test_dicom_objects_cannot_be_made_of_a_volume(tmp_path: Path) -> None:
    source = save(tmp_path / "ct.nii.gz", *drawn())
    with pytest.raises(
        ConfigError, match="Expected outputs among probability, nifti, nrrd, mha, masks"
    ):
        run_with(source, tmp_path / "out", Both(("seg", "sr")))
    assert not (tmp_path / "out").exists()


def test_dicom_and_label_map_of_one_series_agree(tmp_path: Path) -> None:
    write_case(tmp_path / "in", CASES["oblique"])
    run_with(tmp_path / "in", tmp_path / "out", Both(("seg", "nrrd")))
    (nrrd,), (seg,) = tmp_path.glob("out/*.nrrd"), tmp_path.glob("out/*.seg.dcm")
    assert stored(tmp_path / "out")["files"] == [seg.name, nrrd.name]
    hu = drawn(CASES["oblique"])[0]
    expected = np.where(hu > 500, 2, hu > 0).T
    np.testing.assert_array_equal(values_of(nrrd), expected)


@pytest.mark.usefixtures("as_json")
def test_names_of_volumes_are_hashed_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "in" / "doe_john.nii.gz", *drawn())
    save(tmp_path / "in" / "roe_jane.nii.gz", drawn()[0], np.eye(4))
    log.start(as_json=True, folder=tmp_path / "in")
    run_with(tmp_path / "in", tmp_path / "out", Both())
    text = capsys.readouterr().err
    assert "doe" not in text
    assert "roe" not in text
    assert "the identity" in text
    assert all(json.loads(line) for line in text.splitlines())


@pytest.fixture
def as_json() -> Iterator[None]:
    yield
    log.start()


def test_an_archive_of_volumes_goes_on_past_a_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    save(root / "a.nii.gz", *drawn())
    (root / "b.nii.gz").write_text("no volume")
    save(root / "case_3" / "imaging.nii.gz", *drawn())
    write_case(root / "dicom")
    monkeypatch.setattr(archive, "Models", lambda _: Both())
    outcomes = segment_archive(root, out, Both().settings)
    assert [outcome.exit_code for outcome in outcomes] == [0, 2, 0, 0]
    assert {path.name for path in out.iterdir()} == {
        "a",
        "case_3",
        "dicom",
        "archive.csv",
        "lesions.csv",
    }
    lines = (out / "archive.csv").read_text().splitlines()
    assert lines[1].startswith("a,0,tumor found")
    assert "damaged, truncated or none" in lines[2]
    assert lines[3].startswith("case_3,0,tumor found")
    with (out / "lesions.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [(row["study"], row["kind"]) for row in table] == [
        (study, kind)
        for study in ("a", "case_3", "dicom")
        for kind in ("kidney", "kidney", "tumor")
    ]
    assert float(table[0]["volume_ml"]) == stored(out / "a")["segments"][0]["volume_ml"]
    # what is done is left out; what failed is tried again
    again = archive.find_studies(root, out, Both().settings)
    assert [path.name for path in again] == ["b.nii.gz"]


def test_studies_of_one_name_in_an_archive_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.nii.gz", *drawn())
    write_case(tmp_path / "in" / "a")
    with pytest.raises(InputError, match="several that are called a"):
        archive.find_studies(tmp_path / "in", tmp_path / "out")


def test_inspect_says_what_a_run_would_do(tmp_path: Path) -> None:
    save(tmp_path / "a.nii.gz", *drawn(CASES["coronal"]))
    save(tmp_path / "b.nii.gz", drawn()[0], np.eye(4))
    content = inspect_folder(tmp_path)
    good, bad = content["studies"]
    assert good["series"][0]["shape"] == [24, 22, 20]
    assert good["series"][0]["spacing_mm"] == [0.6, 1.5, 1.1]
    assert good["reason"] is None
    assert "the identity" in bad["reason"]
    assert content["exit_code"] == 0
    assert main(["inspect", str(tmp_path)]) == 0


@pytest.fixture
def stood_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python call with the stand-in for models; real settings."""
    monkeypatch.setattr(segmenter, "Models", lambda *_, **__: Both())

    def resolve(**choices: Any) -> Settings:
        asked = choices.get("outputs")
        return Both(tuple(asked.split(",")) if asked else None).settings

    monkeypatch.setattr(segmenter.Settings, "resolve", resolve)


@pytest.mark.usefixtures("stood_in")
def test_the_python_call_takes_a_volume_from_anywhere(tmp_path: Path) -> None:
    hu, affine = turned(*drawn(CASES["oblique"]), TURNS[13])
    expected = np.where(hu > 500, 2, hu > 0)
    image = nib.Nifti1Image(hu, affine)
    path = save(tmp_path / "ct.nii.gz", hu, affine)
    given: list[tuple[Any, dict[str, Any]]] = [
        (path, {}),
        (str(path), {}),
        (hu, {"affine": affine}),
        (MetaTensor(hu[None].astype(np.float32), affine=affine), {}),
        (image, {}),
        (image_of(hu, affine), {}),
    ]
    for source, arguments in given:
        result = renalseg.segment(source, **arguments)
        np.testing.assert_array_equal(result.label, expected)
        np.testing.assert_allclose(result.affine, affine, atol=1e-4)
        assert result.paths == ()
    result = renalseg.segment(image, tmp_path / "out", name="case_1")
    assert [each.name for each in result.paths] == ["case_1.nii.gz", "result.json"]
    np.testing.assert_array_equal(values_of(result.paths[0]), expected.T)


@pytest.mark.usefixtures("stood_in")
def test_the_python_call_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected an affine beside an array"):
        renalseg.segment(drawn()[0])
    path = save(tmp_path / "ct.nii.gz", *drawn())
    with pytest.raises(InputError, match="expected no affine beside a path"):
        renalseg.segment(path, affine=np.eye(4))
    with pytest.raises(ConfigError, match="Expected out_dir where outputs are asked for"):
        renalseg.segment(path, outputs="nifti")
    with pytest.raises(InputError, match="NaN"):
        renalseg.segment(drawn()[0] * np.float32(np.nan), affine=drawn()[1])


def _sitk(folder: Path, path: Path) -> None:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    sitk.WriteImage(reader.Execute(), str(path))


def _dcm2niix(folder: Path, path: Path) -> None:
    name = path.name.removesuffix(".nii.gz")
    words = ["-z", "y", "-b", "n", "-f", name, "-o", str(path.parent), str(folder)]
    assert dcm2niix.main(words).returncode == 0


def _dicom2nifti(folder: Path, path: Path) -> None:
    dicom2nifti.dicom_series_to_nifti(folder, path, reorient_nifti=False)


CONVERTERS = {"SimpleITK": _sitk, "dcm2niix": _dcm2niix, "dicom2nifti": _dicom2nifti}


@pytest.mark.parametrize("case", ["normal", "anisotropic", "feet_first"])
@pytest.mark.parametrize("converter", CONVERTERS)
def test_what_converters_make_gives_the_same_voxels(
    tmp_path: Path, converter: str, case: str
) -> None:
    write_case(tmp_path / "in", CASES[case])
    check_converted(tmp_path / "in", tmp_path, converter)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("converter", CONVERTERS)
def test_what_converters_make_of_a_real_ct_gives_the_same_voxels(
    data_dir: Path, tmp_path: Path, converter: str
) -> None:
    check_converted(data_dir / "ct" / "ircadb17" / "dicom", tmp_path, converter)


def check_converted(dicom: Path, place: Path, converter: str) -> None:
    """The image is the same bit for bit, at the same place; so is all that follows from it."""
    from renalseg.dicom.read.series import read_series
    from renalseg.volumes.ct import read_ct
    from renalseg.volumes.files import open_volume

    CONVERTERS[converter](dicom, place / "converted.nii.gz")
    series = read_series(dicom).image
    volume = read_ct(open_volume(place / "converted.nii.gz"), "converted").image
    one, where = canonical(series[0].numpy(), series.affine.numpy())
    two, there = canonical(volume[0].numpy(), volume.affine.numpy())
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(where, there, atol=1e-3)
    np.testing.assert_allclose(where[:3, :3], there[:3, :3], atol=1e-12)


def test_a_page_of_a_volume_is_made_by_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = save(tmp_path / "ct.nii.gz", *drawn())
    models = Both()
    object.__setattr__(models.settings, "report", tmp_path / "pages")
    object.__setattr__(models.settings, "overlay", tmp_path / "pages")
    run_with(source, tmp_path / "out", models)
    page = (tmp_path / "pages" / "ct.html").read_text(encoding="utf-8")
    assert "ct.nii.gz" in page
    assert "Axial, image" in page
    assert (tmp_path / "pages" / "ct.png").is_file()
    words = ["report", str(source), str(tmp_path / "out"), "--html", str(tmp_path / "page.html")]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("outputs", [("nifti",), ("mha", "masks")])
def test_a_page_comes_from_the_files_of_a_volume_too(
    tmp_path: Path, outputs: tuple[str, ...]
) -> None:
    models = Both(outputs)
    object.__setattr__(models.settings, "report", tmp_path / "pages")
    source = save(tmp_path / "cts" / "ct.nii.gz", *turned(*drawn(CASES["oblique"]), TURNS[13]))
    run_with(source, tmp_path / "out", models)
    page = tmp_path / "later" / "page.html"
    for place in (source, source.parent):
        assert main(["report", str(place), str(tmp_path / "out"), "--html", str(page)]) == 0
        assert page.read_text() == (tmp_path / "pages" / "ct.html").read_text()
        page.unlink()


def test_a_page_is_of_the_same_volume_and_label_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = save(tmp_path / "ct.nii.gz", *drawn())
    run_with(source, tmp_path / "out", Both())
    call = ["report", str(source), str(tmp_path / "out"), "--html", str(tmp_path / "page.html")]
    hu, affine = drawn()
    save(tmp_path / "out" / "ct.nii.gz", (hu > 500).astype(np.uint8), affine)
    assert main(call) == 2
    assert "Expected the segments of result.json" in capsys.readouterr().err
    save(source, hu + np.int16(1), affine)
    assert main(call) == 2
    assert "the volume that the results were made of" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
