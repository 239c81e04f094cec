"""The graph with the real Holoscan; the networks are stand-ins, the rest is what users run."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg import pipeline
from renalseg.dicom.read.outcome import FolderOutcome, StudyOutcome
from renalseg.dicom.read.plan import Plan, StudyPlan
from renalseg.dicom.read.scan import Scan
from renalseg.errors import ConfigError, InputError
from renalseg.inference.models import Models
from renalseg.output.place import Place
from tests.factories.limits import ANYTHING
from tests.factories.series import write_case

pytest.importorskip("monai.deploy", reason="the MONAI Deploy SDK is not installed")

from app.__main__ import main
from app.app import OPERATORS, run_graph, segment_by_graph
from renalseg.findings.findings import Findings
from renalseg.findings.sentences import Judgment
from renalseg.inference.choice import Choice
from renalseg.output.study import StudyResult
from renalseg.settings import Settings

ROOT = Path(__file__).parents[2]
STAGES = ["load_study", "localize", "find_tumors", "take_findings", "write"]
STUDY = StudyOutcome(StudyPlan("1.2", ()))
PLACE = Place(Path("hidden"), Path("out"))


class Stand:
    """Takes the place of the pipeline's functions, and keeps what they were called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: dict[str, tuple[Any, ...]] = {}
        self.values: dict[str, object] = {
            "load_study": SimpleNamespace(image=object()),
            "localize": MetaTensor(torch.ones(1, 2, 3, 4), affine=torch.eye(4) * 2),
            "find_tumors": MetaTensor(torch.ones(1, 2, 3, 4), affine=torch.eye(4) * 3),
            "take_findings": Findings(np.ones((2, 3, 4), np.uint8), (), Judgment()),
            "write": StudyResult("1.2", "1.3", "no tumor found"),
        }
        plan = Plan(Scan(Path("in"), (), (), ()), (STUDY.plan,), ())
        monkeypatch.setattr(pipeline, "look_through", lambda folder, **_: FolderOutcome(plan))
        for name in STAGES:
            owner = {"write": Place, "find_tumors": Models}.get(name, pipeline)
            monkeypatch.setattr(owner, name, self.function(name))

    def function(self, name: str) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            self.calls[name] = arguments
            value = self.values[name]
            if isinstance(value, BaseException):
                raise value
            return value

        return call


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    return Stand(monkeypatch)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of bundles that nothing is asked of."""
    monkeypatch.setattr("renalseg.inference.models.Bundle", Mock())
    device = torch.device("cpu")
    return Settings(Choice(tmp_path, "kidney_stand", "tumor_stand", device, numbers=ANYTHING))


def graph(settings: Settings) -> StudyResult:
    return segment_by_graph(Models(settings.choice), settings, STUDY, PLACE)


def test_operators_pass_the_very_objects_on(stand: Stand, settings: Settings) -> None:
    result = graph(settings)
    series, kidney, pred, findings, written = (stand.values[name] for name in STAGES)
    assert isinstance(series, SimpleNamespace)
    assert result is written
    assert stand.calls["load_study"][0] is STUDY
    assert stand.calls["localize"][0] is series
    assert stand.calls["find_tumors"][1] is series.image
    assert stand.calls["find_tumors"][2] is kidney
    why = "tumor_stand was not calibrated"
    assert stand.calls["take_findings"] == (series, pred, settings.choice.numbers, (), why)
    place, *given = stand.calls["write"]
    assert place is PLACE
    assert given[0] is series
    assert given[1] is findings
    assert given[2] is settings
    assert list(given[3]) == ["localize", "tumor", "measure", "write"]


def test_the_operators_are_the_stages() -> None:
    assert list(OPERATORS) == list(pipeline.STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_failed_stage_ends_the_graph_with_its_own_error(
    stand: Stand, settings: Settings, stage: str
) -> None:
    error = stand.values[stage] = InputError("expected this, found that")
    with pytest.raises(InputError) as raised:
        graph(settings)
    assert raised.value is error
    assert list(stand.calls) == STAGES[: STAGES.index(stage) + 1]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("missing slices"), 2, "missing slices"),
        (ConfigError("no such bundle"), 2, "no such bundle"),
        (OSError(errno.ENOSPC, "No space left on device"), 75, "the disk is full"),
        (MemoryError("too large"), 75, "out of memory"),
    ],
)
def test_expected_error_in_an_operator_is_one_line_and_its_code(
    stand: Stand,
    stage: str,
    error: Exception,
    code: int,
    said: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stand.values[stage] = error
    assert main(["-i", "in", "-o", str(tmp_path / "out")]) == code
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == pipeline.LOOKING
    assert lines[-1].startswith(f"renalseg: error: {said}")
    began = [line for line in lines if line in pipeline.STAGES.values()]
    # `load_study` announces its stage itself, and a stand-in has taken its place
    assert began == [*pipeline.STAGES.values()][1 : STAGES.index(stage) + 1]


def test_fault_in_an_operator_is_1_with_a_traceback(
    stand: Stand, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stand.values["localize"] = ValueError("what")
    assert main(["-i", "in", "-o", str(tmp_path / "out")]) == 1
    message = capfd.readouterr().err
    assert "Traceback" in message
    assert "stage_operator.py" in message


def test_exit_within_an_operator_is_a_fault(stand: Stand, tmp_path: Path) -> None:
    stand.values["localize"] = SystemExit(0)
    assert main(["-i", "in", "-o", str(tmp_path / "out")]) == 1


def test_unknown_method_lists_the_known(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-i", "in", "-o", "out", "--method", "unet9000"]) == 2
    message = capfd.readouterr().err
    assert "unet9000" in message
    assert "sehdc" in message


def test_missing_bundles_folder_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-i", "in", "-o", "out", "-m", str(tmp_path / "none")]) == 2
    assert str(tmp_path / "none") in capfd.readouterr().err


def test_configuration_of_a_container_goes_before_the_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "app.yaml"
    config.write_text("method: of_the_container\n")
    monkeypatch.setenv("HOLOSCAN_CONFIG_PATH", str(config))
    assert main(["-i", "in", "-o", "out"]) == 2
    assert "of_the_container" in capfd.readouterr().err


def find_bright(_: object, image: MetaTensor, *others: object) -> MetaTensor:
    """Finds the marker in the series of the tests."""
    return MetaTensor((image.as_tensor() > 500).byte(), affine=image.affine)


def test_graph_and_plain_call_write_the_same_objects(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_case(tmp_path / "in" / "a")
    write_case(tmp_path / "in" / "b", seed=1)
    monkeypatch.setattr(Models, "find_kidneys", find_bright)
    monkeypatch.setattr(Models, "find_tumors", find_bright)
    models = Models(settings.choice)
    plain = pipeline.run(tmp_path / "in", tmp_path / "plain", models, settings)
    graph = run_graph(tmp_path / "in", tmp_path / "graph", settings)

    assert len(plain.studies) == 2
    assert all(study.segments for study in plain.studies)
    for one, other in zip(plain.studies, graph.studies, strict=True):
        assert one.segments == other.segments
        assert one.files == other.files
        for name in one.files:
            first, second = (tmp_path / folder / name for folder in ("plain", "graph"))
            assert first.read_bytes() == second.read_bytes()


FORMS = {
    "module": ["-m", "app"],
    "folder": [str(ROOT / "app")],
    "monai-deploy": ["-m", "renalseg.commands.monai_deploy", "exec", str(ROOT / "app")],
}


def start(form: str, *arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *FORMS[form], *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd
    )


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_program_answers_a_wrong_call(form: str) -> None:
    done = start(form, "-i", "in")
    assert done.returncode == 2
    assert "no output folder" in done.stderr


def test_folder_runs_from_elsewhere(tmp_path: Path) -> None:
    done = start("folder", "-i", "in", cwd=tmp_path)
    assert done.returncode == 2
    assert "no output folder" in done.stderr


def test_refused_study_leaves_two_lines_and_no_output(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    done = start("monai-deploy", "-i", tmp_path / "in", "-o", tmp_path / "out")
    first, second = done.stderr.splitlines()
    assert first == pipeline.LOOKING
    assert second.startswith("renalseg: error: ")
    assert str(tmp_path / "in") in second
    assert done.returncode == 2
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()
