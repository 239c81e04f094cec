from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from renalseg.errors import ConfigError, RenalSegError
from renalseg.inference.choice import Choice
from renalseg.settings import DEFAULT_METHOD, Settings
from tools.benchmark import whole_job
from tools.benchmark.all_methods import Options, Progress
from tools.benchmark.launch import launch
from tools.benchmark.nnunet import measure_nnunet, plan_grid
from tools.benchmark.whole_job import Job, graph_command, measure_job, plain_command

SETTINGS = Settings(Choice(Path("bundles"), "kidney_a", "tumor_b", torch.device("cpu")))

# Writes the result of a run whose stages take as many seconds as there were runs before.
PROGRAM = """
import json, sys
from pathlib import Path
out = Path(sys.argv[1])
out.mkdir()
stages = dict.fromkeys(("read", "localize", "tumor", "measure", "write"), float(out.name))
(out / "result.json").write_text(json.dumps({"studies": [{"seconds": stages}]}))
"""


def test_a_launched_program_is_timed_and_its_memory_measured(tmp_path: Path) -> None:
    hold = "import time; block = b'x' * (200 << 20); time.sleep(0.2)"
    assert launch(tmp_path / "report", [sys.executable, "-c", hold]) == 0
    report = json.loads((tmp_path / "report").read_text())
    assert 0.2 <= report["seconds"] < 30
    assert report["peak_mib"] >= 200


def test_the_memory_of_who_measures_does_not_count(tmp_path: Path) -> None:
    block = b"x" * (300 << 20)  # what the kernel would count, without a launcher between
    report = tmp_path / "report"
    _, peak_mib = whole_job.run_program([sys.executable, "-S", "-c", "pass"], report)
    assert len(block) > 0
    assert 1 < peak_mib < 150


def test_programs_are_measured_with_their_modules_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    code = "import sys; sys.exit(sys.dont_write_bytecode)"
    whole_job.run_program([sys.executable, "-S", "-c", code], tmp_path / "report")


def test_the_exit_code_is_that_of_the_program(tmp_path: Path) -> None:
    assert launch(tmp_path / "report", [sys.executable, "-c", "raise SystemExit(75)"]) == 75


def test_the_first_run_does_not_count_and_the_median_of_the_others_does(tmp_path: Path) -> None:
    said: list[str] = []
    done = measure_job(
        lambda study, out, settings: [sys.executable, "-c", PROGRAM, str(out)],
        tmp_path,
        SETTINGS,
        3,
        said.append,
    )
    assert len(done.runs) == 3
    assert done.stages == dict.fromkeys(("read", "localize", "tumor", "measure", "write"), 2.0)
    assert said == ["a warm-up run", "run 1 of 3", "run 2 of 3", "run 3 of 3"]


def test_a_job_that_fails_says_what_the_program_said(tmp_path: Path) -> None:
    def command(study: Path, out: Path, settings: Settings) -> list[str]:
        return [sys.executable, "-c", "import sys; sys.exit('no kidneys today')"]

    with pytest.raises(RenalSegError, match=r"ended with 1:\nno kidneys today"):
        measure_job(command, tmp_path, SETTINGS, 1, lambda what: None)


def test_what_is_outside_of_the_stages_is_the_rest_of_the_median() -> None:
    job = Job((9.0, 5.0, 6.0), {"read": 1.0, "write": 2.5}, 100.0)
    assert job.seconds == 6.0
    assert job.around_seconds == 2.5


@pytest.mark.parametrize("command", [plain_command, graph_command])
def test_a_command_names_study_output_and_choices(command: whole_job.Command) -> None:
    words = command(Path("in"), Path("out"), SETTINGS)
    assert {"in", "out", "bundles", "a+b", "cpu"} <= set(words)


def test_without_the_application_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whole_job, "ROOT", tmp_path)
    assert "no folder app" in str(whole_job.why_no_graph())


@pytest.mark.parametrize(
    "wrong", [{"repeat": 0}, {"slices": (1,)}, {"slices": ()}, {"slices": (200, 2001)}]
)
def test_what_cannot_be_measured_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        Options(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("slices", "reference"), [((50, 200), 200), ((50, 60), 50)])
def test_goals_are_for_200_slices_where_they_are_measured(
    slices: tuple[int, ...], reference: int
) -> None:
    assert Options(slices=slices).reference_slices == reference


def test_all_methods_are_measured_the_default_one_first() -> None:
    names = [settings.choice.algorithm for settings in Options(device="cpu").settings()]
    assert names[0] == DEFAULT_METHOD
    assert names[1:] == ["convlstm", "mrb", "msvnet", "resvnet", "sehdc"]
    chosen = Options(methods=("mrb", "sehdc"), device="cpu").settings()
    assert [settings.choice.algorithm for settings in chosen] == ["mrb", "sehdc"]


def test_progress_is_a_line_for_each_step_where_nobody_looks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress(2)
    progress.step("one")
    progress.step("two")
    progress.close()
    assert capsys.readouterr().err == "[1/2] one\n[2/2] two\n"


def test_nnunet_resamples_to_its_own_spacing() -> None:
    assert plan_grid((512, 512, 200), (0.78125, 1.5625, 2.5)) == (512, 1024, 640)


@pytest.mark.skipif(
    importlib.util.find_spec("nnunetv2") is not None, reason="nnU-Net is installed here"
)
def test_nnunet_that_is_not_there_is_an_import_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ImportError, match="nnunetv2"):
        measure_nnunet(tmp_path, (64, 64, 64), (1.0, 1.0, 1.0), torch.device("cpu"))


def test_a_job_without_a_warm_up_runs_as_often_as_it_counts(tmp_path: Path) -> None:
    def command(study: Path, out: Path, settings: Settings) -> list[str]:
        return [sys.executable, "-c", PROGRAM, str(out)]

    done = measure_job(command, tmp_path, SETTINGS, 1, lambda what: None, warm_up=False)
    assert len(done.runs) == 1
    assert done.stages["read"] == 1.0
