from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app import __main__ as application
from app.options import parse_options
from renalseg.commands.main import choices


def test_folders_come_from_the_arguments() -> None:
    options = parse_options(["-i", "in", "-o", "out", "-m", "bundles"])
    assert (options.input, options.output) == (Path("in"), Path("out"))
    assert options.model == Path("bundles")


def test_folders_come_from_the_environment_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLOSCAN_INPUT_PATH", "in")
    monkeypatch.setenv("HOLOSCAN_OUTPUT_PATH", "out")
    options = parse_options(["-i", "given"])
    assert (options.input, options.output) == (Path("given"), Path("out"))


def test_folders_of_mercure_go_before_those_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOLOSCAN_INPUT_PATH", "image"), ("HOLOSCAN_OUTPUT_PATH", "image")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MERCURE_IN_DIR", "in")
    monkeypatch.setenv("MERCURE_OUT_DIR", "out")
    options = parse_options([])
    assert (options.input, options.output) == (Path("in"), Path("out"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "out"], "no input folder: give -i INPUT or set HOLOSCAN_INPUT_PATH"),
        (["-i", "in"], "no output folder: give -o OUTPUT or set HOLOSCAN_OUTPUT_PATH"),
        (["-i", "in", "-o", "out", "--what"], "unrecognized arguments: --what"),
    ],
)
def test_wrong_calls_end_with_2_and_say_what_to_do(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("spelling", ["--localizer", "--localiser"])
def test_both_spellings_of_the_localizer_are_known(spelling: str) -> None:
    assert parse_options(["-i", "in", "-o", "out", spelling, "mrb"]).localizer == "mrb"


def test_an_application_without_bundles_beside_it_uses_those_of_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RENALSEG_BUNDLES", "HOLOSCAN_MODEL_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert application._default_bundles() == application.FOLDER.parent / "bundles"
    monkeypatch.setattr(application, "FOLDER", tmp_path / "app")
    assert application._default_bundles() is None


def test_values_to_set_can_be_given_several_times() -> None:
    options = parse_options(["-i", "in", "-o", "out", "--set", "a=1", "--set", "b=[1, 2]"])
    assert choices(options)["overrides"] == {"a": 1, "b": [1, 2]}


def test_no_module_of_the_application_hides_one_of_python() -> None:
    """The folder is searched first when it is run as a program."""
    modules = {path.stem for path in (Path(__file__).parents[2] / "app").glob("*.py")}
    assert {"app", "run", "stage_operator"} <= modules
    assert not modules - {"__init__", "__main__"} & set(sys.stdlib_module_names)
