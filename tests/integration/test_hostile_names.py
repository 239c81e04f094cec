"""Header values as names and as text: none leads out of the folder, none forges what is said."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest
from pydicom.config import disable_value_validation

from renalseg.commands.inspect import inspect_folder, print_inspection
from renalseg.commands.main import report_error
from renalseg.commands.summary import print_result
from renalseg.dicom.read import files
from renalseg.dicom.read.scan import scan_folder
from renalseg.dicom.read.series import read_series
from renalseg.errors import EXIT_REFUSED, InputError
from tests.factories.road import run_with, segment_all_with
from tests.factories.series import edit_all, write_case
from tests.integration.test_run import Bright

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
EVIL = ("../../EVIL", "/abs/path", "1.2\nrenalseg: done", "1.2\x1b[2J", "..", "1." * 40 + "1")
FORGED = "B31f\nrenalseg: all is well\x1b[2J\u202e"


def spoil(paths: list[Path], **values: object) -> None:
    """Set header values that DICOM does not allow."""
    with disable_value_validation():
        for keyword, value in values.items():
            edit_all(paths, lambda ds, k=keyword, v=value: setattr(ds, k, v))  # type: ignore[misc]


def hostile(folder: Path, **values: object) -> Path:
    """A series in which all slices have some values."""
    spoil(write_case(folder).paths, **values)
    return folder


def all_files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("value", EVIL)
@pytest.mark.parametrize("keyword", UIDS)
def test_a_uid_that_is_none_is_refused_and_not_quoted(
    tmp_path: Path, keyword: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = hostile(tmp_path / "a" / "b" / "in", **{keyword: value})
    before = all_files(tmp_path)
    with pytest.raises(InputError) as refusal:
        run_with(source, tmp_path / "a" / "b" / "out", Bright())
    assert report_error(refusal.value) == EXIT_REFUSED
    said = capsys.readouterr().err
    (line,) = (line for line in said.splitlines() if "error" in line)
    assert f"{keyword} (" in line
    assert "should be digits and dots" in line
    assert line.count("digits and dots") == 1  # once for all 22 files
    for part in ("EVIL", "/abs", "done", "\x1b", "1." * 40):
        assert part not in said
    assert all_files(tmp_path) == before
    assert inspect_folder(source)["exit_code"] == EXIT_REFUSED


def test_uids_as_anonymizers_write_them_are_processed(tmp_path: Path) -> None:
    source = hostile(tmp_path / "in", SeriesInstanceUID="1.2.840.0.012", StudyInstanceUID="1.02")
    run_with(source, tmp_path / "out", Bright())
    assert len(list((tmp_path / "out").glob("1.2.840.0.012-*.seg.dcm"))) == 1


def test_one_file_with_a_bad_uid_is_left_out(tmp_path: Path) -> None:
    source = hostile(tmp_path / "in")
    spoil(write_case(source / "extra", seed=3).paths[:2], SeriesInstanceUID="../x")
    for path in sorted((source / "extra").iterdir())[2:]:
        path.unlink()
    result = run_with(source, tmp_path / "out", Bright())
    (warning,) = result.warnings
    assert warning.startswith("2 files were left out")
    assert {path.parent for path in result.paths} == {tmp_path / "out"}


def test_two_studies_that_share_a_series_uid_get_two_results(tmp_path: Path) -> None:
    """Also their pictures, which go to one folder."""
    for number, name in enumerate("ab"):
        written = write_case(tmp_path / "in" / name, seed=number)
        spoil(written.paths, SeriesInstanceUID="1.2.3")
    models = Bright()
    object.__setattr__(models.settings, "overlay", tmp_path / "pictures")
    object.__setattr__(models.settings, "report", tmp_path / "pages")
    result = run_with(tmp_path / "in", tmp_path / "out", models)
    assert len({path.name for path in result.paths}) == len(result.paths) == 7
    assert all(path.is_file() for path in result.paths)
    studies = {
        str(pydicom.dcmread(path).StudyInstanceUID) for path in tmp_path.glob("out/*.seg.dcm")
    }
    assert studies == {study.study for study in result.studies}
    assert len(list((tmp_path / "pictures").iterdir())) == 2
    assert len(list((tmp_path / "pages").iterdir())) == 2


def test_an_archive_keeps_what_others_have(tmp_path: Path) -> None:
    hostile(tmp_path / "in" / "a", SeriesInstanceUID="../b/1.2.3")
    hostile(tmp_path / "in" / "b", SeriesInstanceUID="1.2.3")
    folders = [tmp_path / "in" / name for name in "ab"]
    outcomes = list(segment_all_with(folders, tmp_path / "out", Bright()))
    assert [outcome.exit_code for outcome in outcomes] == [EXIT_REFUSED, 0]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]


def test_what_is_said_of_headers_is_one_line_without_escapes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    for number in range(2):
        written = write_case(source / f"{number}\n\x1b[2J", seed=number)
        spoil(written.paths, StudyInstanceUID="1.2", SpecificCharacterSet="ISO_IR 192")
        spoil(written.paths, **dict.fromkeys(("SeriesDescription", "StudyID"), FORGED))
        code = FORGED.rstrip("\u202e")  # codes are ASCII
        spoil(written.paths, **{"Modality" if number else "ConvolutionKernel": code})
    (source / "bad\nrenalseg: all is well.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    print_inspection(inspect_folder(source))
    run_with(source, tmp_path / "out", Bright())
    print_result(tmp_path / "out")
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert not [line for line in lines if line.strip().startswith("renalseg")]
    assert not {"\x1b", "\u202e"} & set(said.out + said.err)
    assert "all is well" in said.out  # it is shown, but not as it wanted


def test_the_files_of_a_folder_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = hostile(tmp_path / "in")
    monkeypatch.setattr(files, "MAX_FILES", 21)
    with pytest.raises(InputError, match=r"at most 21, found more; give each study's own folder"):
        scan_folder(source)
    monkeypatch.setattr(files, "MAX_FILES", 22)
    assert read_series(source).image.shape[-1] == 22


def test_the_digest_of_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    source = hostile(tmp_path / "in")
    first = scan_folder(source).digest
    assert scan_folder(source).digest == files.list_files(source).digest == first
    (source / "CT0001.dcm").rename(source / "late.dcm")
    renamed = scan_folder(source).digest
    (source / "late.dcm").unlink()
    assert len({first, renamed, scan_folder(source).digest}) == 3


def test_results_of_another_study_are_not_left_beside_the_new(tmp_path: Path) -> None:
    first, second = (write_case(tmp_path / name, seed=n).folder for n, name in enumerate("ab"))
    run_with(first, tmp_path / "out", Bright())
    before = {path: path.read_bytes() for path in all_files(tmp_path / "out")}
    with pytest.raises(InputError, match="no results of other studies in the output folder"):
        run_with(second, tmp_path / "out", Bright())
    assert {path: path.read_bytes() for path in all_files(tmp_path / "out")} == before


def test_all_that_lies_in_the_output_is_listed(tmp_path: Path) -> None:
    """Also where another series of the study suits better now."""
    source = hostile(tmp_path / "in" / "a", StudyInstanceUID="1.2", SeriesDescription="x")
    run_with(source.parent, tmp_path / "out", Bright())
    (tmp_path / "out" / "notes.txt").write_text("mine")
    before = {path.name for path in (tmp_path / "out").glob("*.dcm")}
    better = write_case(tmp_path / "in" / "b", seed=5, slices=40)
    spoil(better.paths, StudyInstanceUID="1.2")
    result = run_with(source.parent, tmp_path / "out", Bright())
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert there == {path.name for path in result.paths} | {"notes.txt"}
    assert not there & before
    (study,) = json.loads((tmp_path / "out" / "result.json").read_text())["studies"]
    assert len(study["supersedes"]) == 3
