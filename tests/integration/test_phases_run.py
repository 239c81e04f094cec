"""A study of several contrast phases, from DICOM to what is said of each segment in each phase."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.dicom.write.ct import write_ct_series
from renalseg.inference.choice import Choice
from renalseg.inference.methods import default_numbers
from renalseg.output.lesion_table import find_rows, write_table
from renalseg.settings import Settings
from tests.factories.bodies import DENSITIES, EARLY, PLAIN, breathed
from tests.factories.pdf import text_of
from tests.factories.road import run_with

STUDY = {"StudyInstanceUID": "1.2.3", "FrameOfReferenceUID": "1.2.4"}


class Given:
    """Takes the place of `Models`: what was drawn is found."""

    def __init__(self, labels: np.ndarray, report: Path) -> None:
        choice = Choice(
            Path("bundles"), "kidney_x", "tumor_x", torch.device("cpu"), numbers=default_numbers()
        )
        self.settings = Settings(choice, report=report)
        self.labels = labels

    def check(self) -> None:
        pass

    def find_kidneys(self, image: MetaTensor) -> MetaTensor:
        return MetaTensor(torch.from_numpy(self.labels)[None], affine=image.affine)

    def find_tumors(self, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        return kidney


def write(folder: Path, phase: str, **attributes: str) -> np.ndarray:
    """One series of the study: its kidneys lie 9 mm higher in that without contrast medium."""
    plain = phase == "plain"
    body = breathed(PLAIN if plain else EARLY, *((9.0, 9.0) if plain else ()))
    image, labels = body.volumes(seed=len(phase))
    write_ct_series(
        folder / phase,
        image[0].numpy().astype(np.int16),
        image.affine.numpy(),
        seed=phase,
        attributes={**STUDY, "SeriesDescription": phase, **attributes},
    )
    return labels[0].numpy()


def run(tmp_path: Path, labels: np.ndarray) -> dict[str, object]:
    run_with(tmp_path / "in", tmp_path / "out", Given(labels, tmp_path / "page"))
    content: dict[str, object] = json.loads((tmp_path / "out" / "result.json").read_text())
    return content


@pytest.fixture
def content(tmp_path: Path) -> dict[str, object]:
    labels = write(tmp_path / "in", "arterial")
    write(tmp_path / "in", "plain", SeriesDescription="native")
    return run(tmp_path, labels)


def test_all_files_say_how_each_segment_enhances(
    content: dict[str, object], tmp_path: Path
) -> None:
    (study,) = content["studies"]  # type: ignore[attr-defined, misc]
    assert study["phase"] == EARLY
    assert [phase["phase"] for phase in study["phases"]] == [PLAIN]
    assert not [text for text in study["warnings"] if "was not processed" in text]
    assert study["phases"][0]["shift_mm"]["right"] == pytest.approx(9, abs=1.5)
    (tumor,) = (segment for segment in study["segments"] if segment["kind"] == 2)
    rise = DENSITIES[EARLY][3] - DENSITIES[PLAIN][3]
    assert tumor["enhancement"]["absolute_hu"] == pytest.approx(rise, abs=6)

    rows = {row["segment"]: row for row in find_rows(content)}
    assert rows[tumor["label"]]["absolute_hu"] == tumor["enhancement"]["absolute_hu"]
    write_table(tmp_path / "lesions.csv", rows.values())
    with (tmp_path / "lesions.csv").open(newline="") as file:
        cells = {row["segment"]: row for row in csv.DictReader(file)}
    assert float(cells[tumor["label"]]["noncontrast_hu"]) == pytest.approx(34, abs=4)

    (page,) = (tmp_path / "page").glob("*.html")
    assert "By contrast phase" in page.read_text()
    (report,) = (tmp_path / "out").glob("*.pdf.dcm")
    said = f"a rise by {tumor['enhancement']['absolute_hu']:.0f} HU"
    assert said in " ".join(text_of(report.read_bytes()).split())


def test_a_series_in_another_frame_of_reference_is_not_compared(tmp_path: Path) -> None:
    labels = write(tmp_path / "in", "arterial")
    write(tmp_path / "in", "plain", FrameOfReferenceUID="1.2.5", SeriesDescription="native")
    (study,) = run(tmp_path, labels)["studies"]  # type: ignore[attr-defined, misc]
    assert study["phases"] == []
    assert [text for text in study["warnings"] if "was not processed" in text]
    assert all(segment["enhancement"] is None for segment in study["segments"])


def test_a_series_that_cannot_be_read_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = write(tmp_path / "in", "arterial")
    write(tmp_path / "in", "plain", SeriesDescription="native")
    path = next(iter((tmp_path / "in" / "plain").glob("*45.dcm")))
    path.write_bytes(path.read_bytes()[:-2000])
    (study,) = run(tmp_path, labels)["studies"]  # type: ignore[attr-defined, misc]
    assert study["finding"] == "tumor found"
    assert study["phases"] == []
