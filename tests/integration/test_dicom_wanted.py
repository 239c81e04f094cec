"""The series that a person asks for goes before the one that suits best."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from renalseg.commands.inspect import inspect_folder
from renalseg.commands.main import main
from renalseg.dicom.read.accounts import NOT_CHOSEN, PROCESSED
from renalseg.dicom.read.choose import make_plan
from renalseg.dicom.read.outcome import StudyOutcome
from renalseg.dicom.read.plan import StudyPlan
from renalseg.dicom.read.scan import scan_folder
from renalseg.dicom.read.series import read_best
from renalseg.errors import InputError
from tests.factories.folders import write_phases, write_series
from tests.factories.series import edit_all


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A native, an arterial and a portal-venous series; the last suits best."""
    for number, (name, uid) in enumerate(
        (("Abd nativ", "1.2.1"), ("Abd arteriell", "1.2.2"), ("Abd portal  VENÖS", "1.2.33")), 1
    ):
        write_series(
            tmp_path / "in" / uid,
            number,
            SpecificCharacterSet="ISO_IR 192",
            SeriesInstanceUID=uid,
            SeriesNumber=number,
            SeriesDescription=name,
        )
    return tmp_path / "in"


def plan_of(folder: Path, wanted: str | None) -> StudyPlan:
    (study,) = make_plan(scan_folder(folder), wanted=wanted).studies
    return study


def best_of(folder: Path, wanted: str | None) -> str:
    best = plan_of(folder, wanted).best
    assert best is not None
    return best.series


@pytest.mark.parametrize(
    ("wanted", "series"),
    [
        (None, "1.2.33"),
        ("1.2.1", "1.2.1"),
        (" 1.2.2 ", "1.2.2"),
        ("1", "1.2.1"),
        ("02", "1.2.2"),
        ("Abd nativ", "1.2.1"),
        ("ABD NATIV", "1.2.1"),
        ("nativ", "1.2.1"),
        ("portal venös", "1.2.33"),
    ],
)
def test_a_series_is_meant_by_uid_number_or_description(
    folder: Path, wanted: str | None, series: str
) -> None:
    assert best_of(folder, wanted) == series


def test_a_whole_description_goes_before_a_part_of_another(folder: Path) -> None:
    write_series(folder / "x", 9, SeriesInstanceUID="1.2.4", SeriesDescription="Nativ")
    assert best_of(folder, "nativ") == "1.2.4"


@pytest.mark.parametrize("wanted", ["4", "1.2.3", "delayed", "  "])
def test_no_match_is_refused_with_what_there_is(folder: Path, wanted: str) -> None:
    study = plan_of(folder, wanted)
    assert study.best is None
    assert repr(wanted) in study.reason
    for name in ("1 'Abd nativ', 22 slices, 1.2.1", "3 'Abd portal  VENÖS', 22 slices, 1.2.33"):
        assert name in study.reason
    with pytest.raises(InputError, match="expected a series with the UID"):
        read_best(StudyOutcome(study))


def test_several_matches_are_refused_with_all_of_them(folder: Path) -> None:
    study = plan_of(folder, "abd")
    assert study.best is None
    assert "found 3: 1 'Abd nativ'" in study.reason


def test_a_list_of_many_series_ends(tmp_path: Path) -> None:
    for number in range(25):
        write_series(tmp_path / str(number), number, slices=1, SeriesNumber=number)
    write_series(tmp_path / "good", 99, SeriesNumber=99)
    reason = plan_of(tmp_path, "Synthetic").reason
    assert len(reason) < 4000


def test_the_others_are_told_why(folder: Path) -> None:
    study = plan_of(folder, "nativ")
    assert [account.status for account in study.series()] == [PROCESSED, NOT_CHOSEN, NOT_CHOSEN]
    remarks = list(study.remarks())
    assert len(remarks) == 2
    assert all("series 1.2.1 was asked for" in remark for remark in remarks)


def test_a_series_that_is_asked_for_and_damaged_never_gives_way(folder: Path) -> None:
    wrong = sorted((folder / "1.2.1").iterdir())
    edit_all(wrong, lambda ds: delattr(ds, "RescaleSlope"))
    study = plan_of(folder, "nativ")
    assert study.best is None
    assert "RescaleSlope" in study.reason


def test_the_best_phase_of_a_series_that_is_asked_for(tmp_path: Path) -> None:
    first, _ = write_phases(tmp_path, lambda ds, index, phase: setattr(
        ds, "AcquisitionNumber", phase + 1
    ))  # fmt: skip
    first.paths[9].unlink()
    best = plan_of(tmp_path, "Synthetic CT").best
    assert best is not None
    assert best.part == "AcquisitionNumber 2"


def test_each_study_has_its_own(folder: Path) -> None:
    write_series(folder / "y", 8, "1.2.4", SeriesInstanceUID="1.9", SeriesDescription="nativ")
    write_series(folder / "z", 7, "1.2.5", SeriesInstanceUID="1.8", SeriesDescription="late")
    plan = make_plan(scan_folder(folder), wanted="nativ")
    assert [study.best.series if study.best else None for study in plan.studies] == [
        *("1.2.1", "1.9"),
        None,
    ]


def test_inspect_takes_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder), "--json", "--series", "2"]) == 0
    (study,) = json.loads(capsys.readouterr().out)["studies"]
    assert [each["status"] for each in study["series"]] == [NOT_CHOSEN, PROCESSED, NOT_CHOSEN]
    assert inspect_folder(folder, series="4")["exit_code"] == 2


def test_inspect_takes_it_from_the_environment(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENALSEG_SERIES", "1")
    assert main(["inspect", str(folder), "--json"]) == 0
    (study,) = json.loads(capsys.readouterr().out)["studies"]
    assert study["series"][0]["status"] == PROCESSED
