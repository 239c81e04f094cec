from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.data import MetaTensor

from renalseg import archive
from renalseg.archive import SUMMARY_FILE, find_studies, segment_archive, worst
from renalseg.commands.main import main
from renalseg.dicom.read.outcome import StudyOutcome
from renalseg.errors import ConfigError, InputError, RenalSegError, causes
from renalseg.inference.choice import Choice
from renalseg.output.archive_table import COLUMNS, put_rows
from renalseg.settings import Settings
from tests.factories.limits import ANYTHING
from tests.factories.road import segment_all_with
from tests.factories.series import write_case

SETTINGS = Settings(
    Choice(Path("bundles"), "kidney_x", "tumor_x", torch.device("cpu"), numbers=ANYTHING)
)


class StandIn:
    """Takes the place of `Models`: the marker of the series is a kidney."""

    def __init__(
        self, *_: Any, broken: bool = False, settings: Settings = SETTINGS, **__: Any
    ) -> None:
        self.settings = settings
        self.broken = broken

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def check(self) -> None:
        if self.broken:
            raise ConfigError("no weights")

    def find_kidneys(self, image: MetaTensor) -> MetaTensor:
        self.check()
        return MetaTensor((image.as_tensor() > 500).byte(), affine=image.affine)

    def find_tumors(self, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        return kidney


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three studies; the second has no images."""
    folder = tmp_path / "in"
    for name in ("a", "c"):
        write_case(folder / name)
    (folder / "b").mkdir()
    return folder


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "Models", StandIn)


def rows(out_root: Path) -> list[dict[str, str]]:
    with (out_root / SUMMARY_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("stand_in")
def test_a_study_that_fails_does_not_stop_the_others(root: Path, tmp_path: Path) -> None:
    outcomes = segment_archive(root, tmp_path / "out", SETTINGS)
    assert [(o.study.name, o.exit_code) for o in outcomes] == [("a", 0), ("b", 2), ("c", 0)]
    assert len(list((tmp_path / "out" / "a").glob("*.seg.dcm"))) == 1
    assert not (tmp_path / "out" / "b").exists()


@pytest.mark.usefixtures("stand_in")
def test_the_table_says_what_was_found_and_what_was_refused(root: Path, tmp_path: Path) -> None:
    segment_archive(root, tmp_path / "out", SETTINGS)
    first, second, _ = rows(tmp_path / "out")
    assert (first["study"], first["finding"]) == ("a", "no tumor found")
    assert float(first["kidney_ml"]) >= 0
    assert first["message"].startswith("Left kidney: cut by the end of the scan")
    assert (second["exit_code"], second["finding"]) == ("2", "")
    assert "expected a CT series" in second["message"]


@pytest.mark.usefixtures("stand_in")
def test_a_table_of_an_older_version_gets_the_columns_that_it_lacks(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    before = "study,finding,remark,message\r\ngone,no tumor found,by hand,\r\n"
    (tmp_path / "out" / SUMMARY_FILE).write_text(before)
    segment_archive(root, tmp_path / "out", SETTINGS)
    gone, first, *_ = rows(tmp_path / "out")
    assert set(gone) == set(first) == {*COLUMNS, "remark"}
    assert {name: value for name, value in gone.items() if value} == {
        "study": "gone", "finding": "no tumor found", "remark": "by hand",
    }  # fmt: skip
    assert (first["study"], first["finding"], first["remark"]) == ("a", "no tumor found", "")


@pytest.mark.usefixtures("stand_in")
def test_what_is_done_is_not_done_again(root: Path, tmp_path: Path) -> None:
    segment_archive(root, tmp_path / "out", SETTINGS)
    assert [path.name for path in find_studies(root, tmp_path / "out")] == ["b"]
    assert [path.name for path in find_studies(root, tmp_path / "out", again=True)] == [*"abc"]
    write_case(root / "b")
    outcomes = segment_archive(root, tmp_path / "out", SETTINGS)
    assert [outcome.study.name for outcome in outcomes] == ["b"]
    assert [row["study"] for row in rows(tmp_path / "out")] == [*"abc"]  # a failure is replaced
    assert segment_archive(root, tmp_path / "out", SETTINGS) == []


@pytest.mark.usefixtures("stand_in")
def test_the_table_names_method_and_weights(root: Path, tmp_path: Path) -> None:
    segment_archive(root, tmp_path / "out", SETTINGS)
    said = {(row["method"], row["fingerprint"]) for row in rows(tmp_path / "out")}
    assert said == {("x", SETTINGS.choice.fingerprint)}


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "change",
    [
        {"networks": ("kidney_x 2.0 0123456789abcdef",)},  # other weights
        {"tumor": "tumor_y"},
        {"outputs": ("seg",)},
        {"empty_frames": True},
        {"series": "1"},
    ],
)
def test_what_other_settings_have_left_is_done_anew(
    root: Path, tmp_path: Path, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(root / "b")
    segment_archive(root, tmp_path / "out", SETTINGS)
    networks = {name for name in change if name in ("networks", "tumor")}
    choice = replace(SETTINGS.choice, **{name: change[name] for name in networks})
    rest = {name: change[name] for name in change if name not in networks}
    other = replace(SETTINGS, choice=choice, **rest)
    monkeypatch.setattr(archive, "Models", partial(StandIn, settings=other))
    assert [o.study.name for o in segment_archive(root, tmp_path / "out", other)] == [*"ac"]
    found = rows(tmp_path / "out")
    assert [(row["study"], row["fingerprint"]) for row in found] == [
        (name, other.choice.fingerprint) for name in "ac"
    ]
    assert segment_archive(root, tmp_path / "out", other) == []


@pytest.mark.usefixtures("stand_in")
def test_late_slices_are_seen(root: Path, tmp_path: Path) -> None:
    late = root / "c" / "CT0001.dcm"
    content = late.read_bytes()
    late.unlink()
    segment_archive(root, tmp_path / "out", SETTINGS)
    late.write_bytes(content)
    found = [path.name for path in find_studies(root, tmp_path / "out", SETTINGS)]
    assert found == ["b", "c"]
    outcomes = segment_archive(root, tmp_path / "out", SETTINGS)
    (study,) = outcomes[1].result.studies  # type: ignore[union-attr]
    assert study.slices == 22
    assert len(study.supersedes) == 3
    assert [path.name for path in find_studies(root, tmp_path / "out", SETTINGS)] == ["b"]


def test_a_cell_of_the_table_is_no_formula(tmp_path: Path) -> None:
    table = tmp_path / SUMMARY_FILE
    put_rows(table, "=1+1", [{"study": "=1+1", "message": "@SUM(A1)\r\n-2+3"}])
    put_rows(table, "b", [{"study": "b", "kidney_ml": "-1.5"}])
    put_rows(table, "=1+1", [{"study": "=1+1/1.2", "message": "x"}, {"study": "=1+1/1.3"}])
    studies = [row["study"] for row in rows(tmp_path)]
    assert studies == ["'=1+1/1.2", "'=1+1/1.3", "b"]
    assert rows(tmp_path)[-1]["kidney_ml"] == "-1.5"
    assert [path.name for path in tmp_path.iterdir()] == [SUMMARY_FILE]


def test_the_next_study_is_read_before_this_one_is_done(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(root / "b")
    read: list[str] = []
    read_study = archive.read_study

    def note(study: StudyOutcome) -> object:
        read.append(study.plan.candidates[0].instances[0].path.parent.name)
        return read_study(study)

    class Patient(StandIn):
        def find_kidneys(self, image: MetaTensor) -> MetaTensor:
            wait_for(lambda: len(read) == 2)
            return super().find_kidneys(image)

    monkeypatch.setattr(archive, "read_study", note)
    outcomes = segment_all_with([root / "a", root / "c"], tmp_path / "out", Patient())
    assert next(outcomes).result is not None
    assert read == ["a", "c"]
    outcomes.close()


def wait_for(condition: Callable[[], bool]) -> None:
    import time

    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_broken_models_end_all_studies(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        list(segment_all_with([root / "a", root / "c"], tmp_path / "out", StandIn(broken=True)))


def test_a_folder_without_studies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder at"):
        find_studies(tmp_path / "none", tmp_path)
    with pytest.raises(InputError, match="a folder or a volume for each study"):
        find_studies(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("codes", "code"), [([], 0), ([0, 0], 0), ([0, 2], 2), ([2, 75], 75), ([75, 1, 2], 1)]
)
def test_the_exit_code_is_that_of_the_worst(codes: list[int], code: int) -> None:
    assert worst(codes) == code


@pytest.mark.usefixtures("stand_in")
def test_several_methods_are_set_side_by_side(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    call = ["archive", str(root), str(out), "--device", "cpu"]
    assert main([*call, "--method", "sehdc", "mrb+sehdc"]) == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "study ┃ sehdc ┃ mrb+sehdc" in shown
    for name in ("sehdc", "mrb+sehdc"):
        assert rows(out / name)[0]["method"] == name
        assert (out / name / "a" / "result.json").is_file()
    with (out / "methods.csv").open(newline="") as file:
        first, second, third = csv.DictReader(file)
    assert [row["study"] for row in (first, second, third)] == [*"abc"]
    assert first["sehdc kidney_ml"] == rows(out / "sehdc")[0]["kidney_ml"] != ""
    assert second["mrb+sehdc finding"] == "refused"
    assert main([*call, "--method", "sehdc", "sehdc"]) == 2
    assert "Expected different methods" in capsys.readouterr().err


@pytest.mark.usefixtures("stand_in")
def test_the_config_of_methods_runs_all_stages_and_says_what_failed(
    root: Path, tmp_path: Path
) -> None:
    folder = Path(__file__).parents[2] / "bundles" / "methods"
    workflow = ConfigWorkflow(
        config_file=str(folder / "run" / "inference.yaml"),
        logging_file=False,
        workflow_type="infer",
        bundle_root=str(folder),
        dataset_dir=str(root),
        output_dir=str(tmp_path / "out"),
        device="cpu",
    )
    before = sys.excepthook
    workflow.initialize()
    assert sys.excepthook is not before
    sys.excepthook = before
    with pytest.raises(RuntimeError) as failed:
        workflow.run()
    (own,) = (each for each in causes(failed.value) if isinstance(each, RenalSegError))
    assert str(own).startswith("1 of 3 studies could not be segmented: b: expected a CT series")
    assert own.exit_code == 2
    assert rows(tmp_path / "out")[0]["method"] == "unet"
