"""A run on a folder: several studies, refusals, gaps, and what result.json says of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from renalseg import archive
from renalseg.archive import Ended, find_studies, segment_archive
from renalseg.commands.inspect import inspect_folder
from renalseg.commands.main import main
from renalseg.dicom.read.outcome import StudyOutcome
from renalseg.dicom.read.series import CTSeries, read_best
from renalseg.errors import InputError
from renalseg.inference.choice import Choice
from renalseg.labels import MeasuredSegment, Side
from renalseg.output.result import Result
from renalseg.output.study import StudyResult
from renalseg.runtime import log
from renalseg.runtime.privacy import hash_uid
from renalseg.settings import Settings
from tests.factories.folders import write_series
from tests.factories.limits import ANYTHING
from tests.factories.road import run_with, segment_all_with
from tests.factories.series import edit_all, write_case


class Bright:
    """Takes the place of `Models`: the marker of the series is a kidney."""

    def __init__(self, *, allow_gaps: bool = False, blind: bool = False) -> None:
        device = torch.device("cpu")
        bundles = (Path("bundles"), "kidney_x", "tumor_x")
        self.settings = Settings(Choice(*bundles, device, numbers=ANYTHING), allow_gaps=allow_gaps)
        self.blind = blind

    def check(self) -> None:
        pass

    def find_kidneys(self, image: MetaTensor) -> MetaTensor:
        least = 5000 if self.blind else 500
        return MetaTensor((image.as_tensor() > least).byte(), affine=image.affine)

    def find_tumors(self, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        return kidney


def result_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Three studies; the second lacks a slice."""
    for number, study in enumerate(("1.2.1", "1.2.2", "1.2.3")):
        written = write_series(tmp_path / "in" / str(number), number, study)
        if number == 1:
            written.paths[9].unlink()
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    return tmp_path / "in"


def test_each_study_gets_a_result_and_one_refusal_stops_none(three: Path, tmp_path: Path) -> None:
    result = run_with(three, tmp_path / "out", Bright())
    content = result_of(tmp_path / "out")
    findings = [(study["study"], study["finding"]) for study in content["studies"]]
    assert findings == [
        ("1.2.1", "no tumor found"), ("1.2.2", "refused"), ("1.2.3", "no tumor found"),
    ]  # fmt: skip
    assert "gap of 3.00 mm" in content["studies"][1]["reason"]
    statuses = {series["study"]: series["status"] for series in content["series"]}
    assert statuses == {"1.2.1": "processed", "1.2.2": "refused", "1.2.3": "processed"}
    files = content["files"]
    assert files["processed"] == 44
    assert files["skipped"] == {"not DICOM": ["notes.txt"]}
    assert [len(paths) for paths in files["refused"].values()] == [21]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {path.name for path in result.paths}
    assert len(written) == 7  # SEG, SR and report of two studies, and result.json


def test_all_refused_leaves_nothing(three: Path, tmp_path: Path) -> None:
    for number in ("0", "2"):
        (three / number / "CT0010.dcm").unlink()
    reasons = r"study 1\.2\.1: .*study 1\.2\.2: .*study 1\.2\.3: "
    with pytest.raises(InputError, match=reasons) as caught:
        run_with(three, tmp_path / "out", Bright())
    assert caught.value.exit_code == 2
    assert not list(tmp_path.glob("out/*"))


def test_a_folder_without_eligible_ct_ends_well_and_says_so(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    result = run_with(tmp_path / "in", tmp_path / "out", Bright())
    assert result.studies == ()
    content = result_of(tmp_path / "out")
    assert content["studies"] == []
    assert {k: len(v) for k, v in content["files"]["skipped"].items()} == {"localizer": 22}


def test_a_folder_with_nothing_but_a_damaged_file_is_refused(tmp_path: Path) -> None:
    written = write_case(tmp_path / "in")
    data = written.paths[0].read_bytes()
    for path in written.paths:
        path.unlink()
    written.paths[0].write_bytes(data[:300])
    with pytest.raises(InputError, match="CT0001"):
        run_with(tmp_path / "in", tmp_path / "out", Bright())


UIDS = [f"2.25.{2**100 + number}" for number in range(3)]


@pytest.fixture
def as_json() -> Iterator[None]:
    log.start(as_json=True)
    yield
    log.start()


def write_studies(folder: Path) -> None:
    """Three studies with UIDs that derive from UUIDs; the second lacks a slice."""
    for number, study in enumerate(UIDS):
        written = write_series(folder / str(number), number, study)
        if number == 1:
            written.paths[9].unlink()


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    text = capsys.readouterr().err
    assert "2.25." not in text
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("as_json")
def test_each_line_of_a_run_is_of_its_own_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_studies(tmp_path / "in")
    run_with(tmp_path / "in", tmp_path / "out", Bright())
    lines = lines_of(capsys)
    hashes = [hash_uid(uid) for uid in UIDS]
    reading = [line["study"] for line in lines if line.get("stage") == "read"]
    assert list(dict.fromkeys(reading)) == hashes
    for number in range(3):
        (place,) = (i for i, line in enumerate(lines) if f"Study {number + 1} of" in str(line))
        assert lines[place]["study"] == hashes[number]
    (refused,) = (line for line in lines if line.get("message", "").startswith("Refused"))
    assert refused["study"] == hashes[1]
    assert "study" not in lines[0]


@pytest.mark.usefixtures("as_json")
def test_each_line_of_an_archive_is_of_its_own_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though the next study is read while one is segmented."""
    write_studies(tmp_path / "in")

    def read(study: StudyOutcome) -> CTSeries:
        log.note("read", uid=hash_uid(study.plan.study))
        return read_best(study)

    class Talking(Bright):
        def __enter__(self) -> Bright:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def find_kidneys(self, image: MetaTensor) -> MetaTensor:
            log.note("segmented")
            return super().find_kidneys(image)

    monkeypatch.setattr(archive, "read_study", read)
    monkeypatch.setattr(archive, "Models", lambda _: Talking())
    segment_archive(tmp_path / "in", tmp_path / "out", Bright().settings)
    lines = lines_of(capsys)
    hashes = [hash_uid(uid) for uid in UIDS]
    said = {
        event: [line["study"] for line in lines if line["event"] == event]
        for event in ("read", "segmented", "study ended")
    }
    assert said == {
        "read": hashes,
        "segmented": [hashes[0], hashes[2]],
        "study ended": hashes,
    }
    assert [line["uid"] for line in lines if line["event"] == "read"] == hashes


def test_an_archive_takes_folders_of_several_studies(three: Path, tmp_path: Path) -> None:
    (outcome,) = segment_all_with([three], tmp_path / "out", Bright())
    assert outcome.exit_code == 0
    assert [(row["study"], row["exit_code"]) for row in outcome.rows()] == [
        ("in/1.2.1", 0), ("in/1.2.2", 2), ("in/1.2.3", 0),
    ]  # fmt: skip
    assert len(result_of(tmp_path / "out" / "in")["studies"]) == 3


# Gaps


@pytest.fixture
def far_gap(tmp_path: Path) -> Path:
    """Slices are missing over 20 mm below the marker."""
    written = write_case(tmp_path / "in", slices=60)
    for path in written.paths[4:6]:
        path.unlink()
    return tmp_path / "in"


def test_a_gap_is_refused_by_default(far_gap: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gap of 4\.50 mm at z=-135\.50"):
        run_with(far_gap, tmp_path / "out", Bright())


def test_a_gap_away_from_the_kidneys_may_be_allowed(far_gap: Path, tmp_path: Path) -> None:
    result = run_with(far_gap, tmp_path / "out", Bright(allow_gaps=True))
    (study,) = result.studies
    assert study.slices == 58
    assert "gap of 4.50 mm at z=-135.50 mm, filled by interpolation" in " ".join(study.warnings)
    assert len(study.files) == 3


def test_a_gap_at_the_kidneys_is_refused_all_the_same(tmp_path: Path) -> None:
    write_case(tmp_path / "in", slices=60).paths[27].unlink()
    with pytest.raises(InputError, match="within 10 mm of the kidneys"):
        run_with(tmp_path / "in", tmp_path / "out", Bright(allow_gaps=True))


def test_a_gap_is_refused_where_no_kidney_is_found(far_gap: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="where the kidneys may be"):
        run_with(far_gap, tmp_path / "out", Bright(allow_gaps=True, blind=True))


# renalseg inspect


def test_inspect_says_what_a_run_would_do(three: Path, tmp_path: Path) -> None:
    told = inspect_folder(three)
    run_with(three, tmp_path / "out", Bright())
    content = result_of(tmp_path / "out")
    assert told["files"] == content["files"]
    assert [study["reason"] for study in told["studies"]] == [
        study["reason"] for study in content["studies"]
    ]
    series = [series for study in told["studies"] for series in study["series"]]
    keys = content["series"][0].keys()
    assert [{key: each[key] for key in keys} for each in series] == content["series"]
    assert series[0]["spacing_mm"] == [0.8, 0.8, 1.5]
    assert series[0]["extent_mm"] == 31.5
    assert told["exit_code"] == 0


def test_inspect_prints_tables_without_patients(
    three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in three.glob("?"):
        edit_all(sorted(folder.iterdir()), lambda ds: setattr(ds, "PatientID", "SECRET"))
        edit_all(sorted(folder.iterdir()), lambda ds: setattr(ds, "PatientName", "Doe^Jane"))
    assert main(["inspect", str(three)]) == 0
    shown = capsys.readouterr().out
    for part in ("study 1.2.2", "gap of 3.00 mm", "0.8 x 0.8 x 1.5", "notes.txt", "2 of 3 studies"):
        assert part in shown
    assert "SECRET" not in shown
    assert "Doe" not in shown


def test_inspect_ends_as_the_run_would(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(three / "1"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2
    assert main(["inspect", str(three / "1"), "--allow-gaps"]) == 0
    assert main(["inspect", str(tmp_path / "none")]) == 2
    assert "expected a folder or a file, found none" in capsys.readouterr().err


def test_a_run_opens_an_archive_and_takes_the_series_that_is_asked_for(tmp_path: Path) -> None:
    for number in (1, 2):
        write_series(tmp_path / "in" / str(number), number, SeriesNumber=number, slices=24 - number)
    packed = Path(shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "in"))
    models = Bright()
    models.settings = replace(models.settings, series="2")
    (study,) = run_with(packed, tmp_path / "out", models).studies
    assert (study.finding, study.slices) == ("no tumor found", 22)
    models.settings = replace(models.settings, series="3")
    with pytest.raises(InputError, match=r"number or description '3', found: 1 'Synthetic CT'"):
        run_with(packed, tmp_path / "none", models)
    assert not (tmp_path / "none").exists()
    outcomes = list(segment_all_with([tmp_path / "in"], tmp_path / "all", models))
    assert [outcome.exit_code for outcome in outcomes] == [2]


def test_an_archive_does_anew_what_is_asked_of_another_series(tmp_path: Path) -> None:
    for number in (1, 2):
        write_series(tmp_path / "in" / "a" / str(number), number, SeriesNumber=number)
    models, out = Bright(), tmp_path / "out"
    list(segment_all_with([tmp_path / "in" / "a"], out, models))
    assert find_studies(tmp_path / "in", out, models.settings) == []
    other = replace(models.settings, series="2")
    assert find_studies(tmp_path / "in", out, other) == [tmp_path / "in" / "a"]


def test_the_table_of_an_archive_says_which_volumes_are_lower_bounds(tmp_path: Path) -> None:
    kidney = MeasuredSegment(1, "Left kidney", 1, Side.LEFT, 225.2, 128, 74, 133, 20)
    rows = []
    for cut in (False, True):
        segments = (replace(kidney, lower_bound=cut),)
        study = StudyResult("1.2", "1.3", "no tumor found", segments=segments)
        result = Result(tmp_path, Bright().settings, (study,))
        rows += Ended(tmp_path, result, None, 1.0).rows()
    assert [row["kidney_ml"] for row in rows] == ["225.2", "225.2"]
    assert rows[0]["message"] == ""
    assert str(rows[1]["message"]).startswith("Left kidney: cut by the end of the scan")
