"""`renalseg compare`: two results of a drawn patient, and the files that say what changed."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import highdicom as hd
import pydicom
import pytest
from pydicom.dataset import Dataset

from renalseg.commands.main import main
from renalseg.followup.archive import FOLDER, compare_archive
from tests.factories.series import edit
from tests.factories.times import AFTER, BEFORE, body, later, write_time
from tests.integration.test_dicom_seg import errors_of
from tests.integration.test_results import groups_of, numbers

GREW = "Right kidney tumor 1"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both times, and their comparison in `out`."""
    folder = tmp_path_factory.mktemp("times")
    write_time(folder / "prior", body(), BEFORE)
    write_time(folder / "now", later(), AFTER)
    code = main(
        [
            *("compare", str(folder / "prior" / "out"), str(folder / "now" / "out")),
            *(str(folder / "out"), "--prior-ct", str(folder / "prior" / "ct")),
            *("--now-ct", str(folder / "now" / "ct")),
        ]
    )
    assert code == 0
    return folder


def content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "comparison.json").read_text())
    return found


def header(folder: Path, kind: str) -> Dataset:
    (path,) = folder.glob(f"*.{kind}.dcm")
    return pydicom.dcmread(path)


def tracking(folder: Path) -> dict[str, tuple[str, str]]:
    items = header(folder, "seg").SegmentSequence
    return {item.SegmentLabel: (item.TrackingUID, item.TrackingID) for item in items}


def test_the_comparison_says_what_was_drawn(root: Path) -> None:
    said = content(root / "out")
    assert said["days"] == 365
    assert (said["prior"]["date"], said["now"]["date"]) == ("2024-03-01", "2025-03-01")
    (tumor,) = said["lesions"]
    assert tumor["label"] == GREW
    assert tumor["longest_mm"]["change"] == pytest.approx(6, abs=2.5)
    assert tumor["volume_ml"]["change"] == pytest.approx(10.3, abs=0.4)
    assert not tumor["volume_ml"]["within_error"]
    assert [lesion["side"] for lesion in (*said["new"], *said["gone"])] == ["left", "left"]
    assert said["remarks"] == []
    assert "12 months earlier: right kidney tumor 1 from 29 to 36 mm" in said["text"]
    assert "New: left kidney tumor 1" in said["text"]


def test_the_table_has_a_row_for_each_structure(root: Path) -> None:
    with (root / "out" / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["kidney", "kidney", "both", "new", "gone"]
    (tumor,) = content(root / "out")["lesions"]
    assert float(rows[2]["volume_ml_change"]) == tumor["volume_ml"]["change"]
    assert rows[3]["longest_mm_prior"] == rows[4]["longest_mm_now"] == ""


def test_the_later_result_is_written_anew_with_the_earlier_one_in_it(root: Path) -> None:
    out = root / "out"
    (study,) = json.loads((out / "result.json").read_text())["studies"]
    assert study["comparison"]["lesions"] == content(out)["lesions"]
    assert [
        each["kind"] for each in study["statements"] if each["text"] == content(out)["text"]
    ] == ["Comparison"]
    own, before = header(out, "sr"), header(root / "prior" / "out", "sr")
    (predecessor,) = own.PredecessorDocumentsSequence
    assert predecessor.StudyInstanceUID == before.StudyInstanceUID
    named = predecessor.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == before.SOPInstanceUID
    (other,) = own.PertinentOtherEvidenceSequence
    (seg,) = other.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert other.StudyInstanceUID == before.StudyInstanceUID
    assert seg.ReferencedSOPInstanceUID == header(root / "prior" / "out", "seg").SOPInstanceUID
    for kind in ("seg", "sr", "pdf"):
        assert header(out, kind).SOPInstanceUID != header(root / "now" / "out", kind).SOPInstanceUID
        (path,) = out.glob(f"*.{kind}.dcm")
        assert errors_of(path) == []


def test_what_both_show_keeps_its_tracking(root: Path) -> None:
    before, now = tracking(root / "prior" / "out"), tracking(root / "out")
    same = ("Left kidney", "Right kidney", GREW)
    assert {name: now[name] for name in same} == {name: before[name] for name in same}
    assert now["Left kidney tumor 1"] != before["Left kidney tumor 1"]
    (path,) = (root / "out").glob("*.sr.dcm")
    groups = groups_of(hd.sr.srread(path))
    uids = {
        item.UID
        for group in groups
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Tracking Unique Identifier"
    }
    assert {uid for uid, _ in now.values()} <= uids


def test_the_report_has_the_changes_as_measures(root: Path) -> None:
    (path,) = (root / "out").glob("*.sr.dcm")
    (tumor,) = content(root / "out")["lesions"]
    found = [numbers(group) for group in groups_of(hd.sr.srread(path))]
    changes = [each for each in found if "Volume change since the earlier study" in each]
    assert len(changes) == 3  # both kidneys and the tumor
    grown = [each for each in changes if "Volume doubling time" in each]
    assert [each["Volume doubling time"] for each in grown] == [tumor["doubling_days"]]
    assert grown[0]["Volume change since the earlier study"] == tumor["volume_ml"]["change"]


def test_the_page_shows_both_times_and_names_no_patient(root: Path) -> None:
    page = (root / "out" / "comparison.html").read_text()
    assert page.count("<figure") == 6  # three lesions, twice each
    assert "Now, 2025-03-01: Right kidney tumor 1" in page
    assert "nothing found in the place of left kidney tumor 1" in page
    assert "SYNTHETIC" not in page
    assert "Synthetic^Subject" not in page


@pytest.mark.slow
def test_a_comparison_is_the_earlier_result_of_the_next(root: Path, tmp_path: Path) -> None:
    arguments = [str(root / "out"), str(root / "now" / "out"), str(tmp_path / "next")]
    cts = ["--prior-ct", str(root / "now" / "ct"), "--now-ct", str(root / "now" / "ct")]
    assert main(["compare", *arguments, *cts, "--days", "90"]) == 0
    said = content(tmp_path / "next")
    assert said["days"] == 90
    assert {lesion["volume_ml"]["change"] for lesion in said["lesions"]} == {0}
    assert tracking(tmp_path / "next") == tracking(root / "out")


@pytest.mark.slow
def test_results_alone_are_compared_by_their_segmentations(root: Path, tmp_path: Path) -> None:
    arguments = [str(root / "prior" / "out"), str(root / "now" / "out"), str(tmp_path / "out")]
    assert main(["compare", *arguments]) == 0
    said = content(tmp_path / "out")
    assert said["days"] == 365
    assert {moved["by"] for moved in said["sides"].values()} == {"labels"}
    assert [lesion["label"] for lesion in said["lesions"]] == [GREW]
    assert not (tmp_path / "out" / "result.json").exists()


def test_two_patients_are_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(root / "now" / "out", tmp_path / "other")
    for path in (tmp_path / "other").glob("*.dcm"):
        edit(path, lambda dataset: setattr(dataset, "PatientID", "PID-4711"))
    arguments = [str(root / "prior" / "out"), str(tmp_path / "other"), str(tmp_path / "out")]
    assert main(["compare", *arguments]) == 2
    said = capsys.readouterr().err
    assert "different values of PatientID" in said
    assert "4711" not in said
    assert not (tmp_path / "out").exists()


# An archive


@pytest.fixture
def archive(root: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Both times and a third patient as an archive, and its results."""
    studies, results = tmp_path / "in", tmp_path / "results"
    for name in ("prior", "now"):
        shutil.copytree(root / name / "ct", studies / name)
        shutil.copytree(root / name / "out", results / name)
    return studies, results


@pytest.mark.slow
def test_an_archive_compares_the_studies_of_a_patient(archive: tuple[Path, Path]) -> None:
    assert [path.name for path in compare_archive(*archive)] == ["prior--now"]
    said = content(archive[1] / FOLDER / "prior--now")
    assert [lesion["label"] for lesion in said["lesions"]] == [GREW]
    assert compare_archive(*archive) == []  # it is up to date


def test_an_archive_compares_no_two_patients(
    archive: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (archive[1] / "now").glob("*.dcm"):
        edit(path, lambda dataset: setattr(dataset, "PatientID", "PID-4711"))
    assert compare_archive(*archive) == []
    assert not (archive[1] / FOLDER).exists()
    for path in (archive[1] / "now").glob("*.dcm"):
        edit(path, lambda dataset: setattr(dataset, "PatientID", "SYNTHETIC"))
        edit(path, lambda dataset: setattr(dataset, "PatientSex", "F"))
    for path in (archive[1] / "prior").glob("*.dcm"):
        edit(path, lambda dataset: setattr(dataset, "PatientSex", "M"))
    shutil.rmtree(archive[0])
    archive[0].mkdir()
    assert compare_archive(*archive) == []
    assert "different values of PatientSex" in capsys.readouterr().err
