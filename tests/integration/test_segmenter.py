"""The Python call: arrays, rows, pictures and progress; models are stood in for."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import renalseg
from renalseg import segmenter
from renalseg.errors import InputError
from renalseg.pipeline import STAGES
from renalseg.segmenter import Segmenter, Step
from renalseg.settings import Settings
from tests.factories.commands import blocks_of
from tests.factories.series import write_case
from tests.factories.volumes import drawn, save
from tests.integration.test_volumes_run import Both

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "notebooks.md"


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Stand-ins for the models; the list of those that were made."""
    models: list[object] = []

    def stand_in(*_: Any, **__: Any) -> Both:
        models.append(Both())
        return models[-1]  # type: ignore[return-value]

    monkeypatch.setattr(segmenter, "Models", stand_in)

    def resolve(**choices: Any) -> Settings:
        asked = choices.get("outputs")
        return Both(tuple(asked.split(",")) if asked else None).settings

    monkeypatch.setattr(segmenter.Settings, "resolve", resolve)
    return models


@pytest.fixture
def cts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with volumes and a series."""
    save(tmp_path / "ct.nii.gz", *drawn())
    for name in ("a", "b"):
        save(tmp_path / "cts" / f"{name}.nii.gz", *drawn())
    write_case(tmp_path / "dicom_in")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cts"


@pytest.mark.usefixtures("cts")
def test_the_doctests_hold() -> None:
    results = doctest.testmod(segmenter, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0
    assert results.attempted >= 4
    assert Path("result.png").read_bytes().startswith(b"\x89PNG")


def test_the_lines_of_the_guide_run_one_after_another(cts: Path) -> None:
    space: dict[str, Any] = {}
    hu, affine = drawn()
    space |= {"hu": hu, "affine": affine, "image": nib.Nifti1Image(hu, affine)}
    blocks = blocks_of(GUIDE, "python")
    assert len(blocks) >= 2
    for block in blocks:
        exec(block, space)
    table = space["table"]
    assert set(table["study"]) == {"a", "b"}
    assert len(table) == 6
    assert (cts.parent / "a.png").is_file()


def test_models_are_kept_between_calls(cts: Path, made: list[object]) -> None:
    with Segmenter(device="cpu") as segment:
        for path in sorted(cts.iterdir()):
            assert segment(path).lesions
    assert len(made) == 1


def test_nothing_is_written_without_a_folder(cts: Path) -> None:
    before = sorted(cts.parent.rglob("*"))
    result = renalseg.segment(cts / "a.nii.gz")
    assert (result.folder, result.paths) == (None, ())
    assert sorted(cts.parent.rglob("*")) == before


def test_what_is_found_in_a_series_is_on_its_grid(cts: Path) -> None:
    result = renalseg.segment("dicom_in", "out", outputs="nifti")
    (path,) = Path("out").glob("*.nii.gz")
    image = nib.load(path)
    np.testing.assert_array_equal(result.label, np.asarray(image.dataobj))
    np.testing.assert_allclose(result.affine, image.affine, atol=1e-4)
    assert len(result.studies) == 1


def test_several_studies_have_rows_but_no_array(cts: Path) -> None:
    result = renalseg.segment(cts, "out")
    assert {row["study"] for row in result.lesions} == {"a", "b"}
    assert result.ct is None
    for ask in (lambda: result.label, lambda: result.affine, result.show):
        with pytest.raises(InputError, match="expected the result of one study, found 2"):
            ask()


def test_rows_are_what_pandas_takes_and_what_json_says(cts: Path) -> None:
    result = renalseg.segment(cts / "a.nii.gz", "out")
    table = pd.DataFrame(result.lesions)
    assert table["volume_ml"].dtype == float
    assert list(table["kind"]) == ["kidney", "kidney", "tumor"]
    (study,) = json.loads(Path("out/result.json").read_text())["studies"]
    assert list(table["volume_ml"]) == [each["volume_ml"] for each in study["segments"]]
    assert all(
        type(value) in (str, float, bool, type(None))
        for row in result.lesions
        for value in row.values()
    )


def test_progress_names_each_stage_of_each_study(cts: Path) -> None:
    steps: list[Step] = []
    renalseg.segment(cts, "out", progress=steps.append)
    expected = [
        Step(name, stage, done, len(STAGES))
        for name in ("a", "b")
        for done, stage in enumerate([*STAGES, ""])
    ]
    assert steps == expected


def test_what_a_callback_raises_ends_the_call_and_writes_nothing(cts: Path) -> None:
    def stop(step: Step) -> None:
        if step.stage == "tumor":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        renalseg.segment(cts / "a.nii.gz", "out", progress=stop)
    assert not Path("out").exists()


def test_a_notebook_gets_a_picture(cts: Path) -> None:
    shown = renalseg.segment(cts / "a.nii.gz").show()
    assert shown._repr_png_().startswith(b"\x89PNG")
    assert re.match(rb"\x89PNG", shown.png)


def test_the_package_names_what_it_has() -> None:
    assert renalseg.Segmenter is Segmenter
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        renalseg.nothing  # noqa: B018
