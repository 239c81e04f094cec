from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from monai.data import MetaTensor
from pydicom.dataset import Dataset

from renalseg.commands.main import main
from renalseg.commands.report import write_report
from renalseg.dicom.read.segmentation import read_saved
from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.errors import InputError
from renalseg.findings.segments import split_segments
from renalseg.geometry import to_world
from renalseg.labels import KIDNEY, TUMOR
from renalseg.settings import Settings
from tests.factories.enhanced import write_enhanced
from tests.factories.limits import SIDES
from tests.factories.results import write_as_run
from tests.factories.series import CASES, edit_all, write_case
from tests.factories.stacks import stack_of, write_stack


def predict(series: CTSeries, *, empty: bool = False) -> MetaTensor:
    """Two kidneys, and a tumor in the left one, by world position."""
    shape = tuple(series.image.shape[1:])
    affine = series.image.affine.numpy()
    world = to_world(affine, np.stack(np.indices(shape), axis=-1))
    offset = world - to_world(affine, (np.array(shape) - 1) / 2)
    pred = np.zeros(shape, np.uint8)
    if not empty:
        box = (abs(offset[..., 1]) < 3) & (abs(offset[..., 2]) < 4)
        pred[box & (abs(offset[..., 0]) > 1.5) & (abs(offset[..., 0]) < 5)] = KIDNEY
        pred[(pred == KIDNEY) & (offset[..., 0] < 0) & (offset[..., 1] > 0)] = TUMOR
    return MetaTensor(torch.from_numpy(pred)[None], affine=series.image.affine)


def name_the_patient(header: Dataset) -> None:
    header.PatientName, header.PatientID = "Quxworthy^Zelda", "PID-4711"
    header.PatientBirthDate = "19550203"


def run(folder: Path, *, empty: bool = False, outputs: str = "seg", case: str = "normal") -> Path:
    """Writes a series and its results; gives the page that the run wrote."""
    written = write_case(folder / "ct", CASES[case])
    edit_all(written.paths, name_the_patient)
    series = read_series(folder / "ct")
    settings = Settings.resolve(device="cpu", outputs=outputs, report=folder / "pages")
    write_as_run(series, predict(series, empty=empty), folder / "out", settings)
    (page,) = (folder / "pages").iterdir()
    return page


@pytest.mark.parametrize("outputs", ["seg", "labelmap"])
def test_the_command_gives_the_page_that_the_run_gave(tmp_path: Path, outputs: str) -> None:
    page = run(tmp_path, outputs=outputs)
    later = tmp_path / "new" / "report.html"
    assert main(["report", str(tmp_path / "ct"), str(tmp_path / "out"), "--html", str(later)]) == 0
    assert later.read_text() == page.read_text()


def test_nothing_found_has_its_page_too(tmp_path: Path) -> None:
    page = run(tmp_path, empty=True)
    write_report(tmp_path / "ct", tmp_path / "out", tmp_path / "later.html")
    assert "<h1>No kidney found." in page.read_text()
    assert (tmp_path / "later.html").read_text() == page.read_text()


def test_the_result_names_the_page_and_the_page_no_patient(tmp_path: Path) -> None:
    page = run(tmp_path)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    (study,) = result["studies"]
    assert study["pictures"] == [str(page)]
    text = page.read_text()
    assert study["series"] in text
    assert "One tumor found" in text
    for secret in ("Quxworthy", "Zelda", "PID-4711", "1955-02-03"):
        assert secret not in text


def test_another_ct_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    write_case(tmp_path / "other", slices=23)
    with pytest.raises(InputError, match="the CT that the results were made of"):
        write_report(tmp_path / "other", tmp_path / "out", tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def test_results_without_segmentation_are_refused(tmp_path: Path) -> None:
    run(tmp_path)
    for path in (tmp_path / "out").glob("*.dcm"):
        path.unlink()
    with pytest.raises(InputError, match="Expected the segmentation of study"):
        write_report(tmp_path / "ct", tmp_path / "out", tmp_path / "a.html")


def test_a_study_that_has_no_result_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    arguments = ["report", str(tmp_path / "ct"), str(tmp_path / "out"), "--html", "a.html"]
    assert main([*arguments, "--study", "1.2.3"]) == 2


def segmented_of(series: CTSeries) -> npt.NDArray[np.uint8]:
    return split_segments(predict(series), series.image, sides=SIDES)[0]


@pytest.mark.parametrize("case", ["reversed", "oblique", "coronal", "feet_first"])
def test_a_saved_segmentation_comes_back_voxel_by_voxel(tmp_path: Path, case: str) -> None:
    run(tmp_path, case=case)
    series = read_series(tmp_path / "ct")
    (path,) = (tmp_path / "out").glob("*.seg.dcm")
    np.testing.assert_array_equal(read_saved(path, series), segmented_of(series))


@pytest.mark.parametrize("outputs", ["seg", "labelmap"])
def test_a_saved_segmentation_of_a_single_kidney_comes_back(tmp_path: Path, outputs: str) -> None:
    write_case(tmp_path / "ct")
    series = read_series(tmp_path / "ct")
    pred = predict(series)
    pred[:, : pred.shape[1] // 2] = 0
    pred[pred == TUMOR] = KIDNEY
    settings = Settings.resolve(device="cpu", outputs=outputs)
    write_as_run(series, pred, tmp_path / "out", settings)
    (path,) = (tmp_path / "out").glob("*.dcm")
    np.testing.assert_array_equal(read_saved(path, series), pred.numpy()[0])


@pytest.mark.parametrize("steps", [[1.5] * 21, [1.5] * 12 + [3.0] * 9])
def test_a_saved_segmentation_of_tilted_slices_comes_back_to_them(
    tmp_path: Path, steps: list[float]
) -> None:
    stack = stack_of(np.eye(3), steps, tilt_degrees=12)
    hu = np.full(stack.shape, 40, np.int16)
    hu[:2] = -1000
    write_stack(tmp_path / "ct", stack, hu)
    series = read_series(tmp_path / "ct")
    assert not series.planes.is_grid
    write_as_run(series, predict(series), tmp_path / "out", Settings.resolve(device="cpu"))
    (path,) = (tmp_path / "out").glob("*.seg.dcm")
    found, expected = read_saved(path, series), segmented_of(series)
    np.testing.assert_array_equal(series.to_slices(found), series.to_slices(expected))


def test_a_page_is_made_of_frames_too(tmp_path: Path) -> None:
    (tmp_path / "ct").mkdir()
    write_enhanced(tmp_path / "ct" / "frames.dcm", write_case(tmp_path / "slices").paths)
    series = read_series(tmp_path / "ct")
    settings = Settings.resolve(device="cpu", report=tmp_path / "pages")
    write_as_run(series, predict(series), tmp_path / "out", settings)
    write_report(tmp_path / "ct", tmp_path / "out", tmp_path / "later.html")
    (page,) = (tmp_path / "pages").glob("*.html")
    assert (tmp_path / "later.html").read_text() == page.read_text()


def test_a_segmentation_of_another_place_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "one")
    write_case(tmp_path / "two", CASES["oblique"])
    (path,) = (tmp_path / "one" / "out").glob("*.seg.dcm")
    with pytest.raises(InputError, match="on the slices of the series"):
        read_saved(path, read_series(tmp_path / "two"))
