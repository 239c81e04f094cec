"""What the README shows is what the programs take: each command goes through their own parsers."""

from __future__ import annotations

import ast
import inspect
import subprocess
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

import renalseg
from app.options import parse_options
from renalseg.commands import main as cli
from renalseg.commands import monai_deploy as deploy
from tests.factories.commands import blocks_of, commands_of
from tools import __main__ as tools

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
COMMANDS = commands_of(README)
BUNDLE_RUN = ["python", "-m", "monai.bundle", "run"]
TOOLS = ["python", "-m", "tools"]


def starting_with(*words: str) -> list[Any]:
    found = [command for command in COMMANDS if command[: len(words)] == list(words)]
    return [pytest.param(command, id=" ".join(command)) for command in found]


def test_every_command_is_looked_at() -> None:
    known = [*starting_with("make"), *starting_with("renalseg"), *starting_with("monai-deploy")]
    known += [*starting_with(*BUNDLE_RUN), *starting_with(*TOOLS)]
    assert len(known) == len(COMMANDS) >= 15


@pytest.mark.parametrize("command", starting_with("renalseg"))
def test_renalseg_takes_it(command: list[str]) -> None:
    assert callable(cli._parser().parse_args(command[1:]).action)


@pytest.mark.parametrize("command", starting_with("monai-deploy"))
def test_monai_deploy_and_the_application_take_it(command: list[str]) -> None:
    options = deploy._parser().parse_args(command[1:])
    assert deploy.find_problem(ROOT / options.application) is None
    assert parse_options(options.arguments).input == Path("dicom_in")


@pytest.mark.parametrize("command", starting_with(*TOOLS))
def test_the_tools_take_it(command: list[str]) -> None:
    assert callable(tools._parser().parse_args(command[len(TOOLS) :]).action)


@pytest.mark.parametrize("command", starting_with("make"))
def test_make_has_the_target(command: list[str]) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "IMAGE_TOOL=docker", *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", starting_with(*BUNDLE_RUN))
def test_the_bundle_takes_it(command: list[str]) -> None:
    words = command[len(BUNDLE_RUN) :]
    given = dict(zip(words[::2], words[1::2], strict=True))
    config = ROOT / given.pop("--config_file")
    assert (ROOT / given["--bundle_root"]) == config.parents[1]
    parser = ConfigParser()
    parser.read_config(str(config))
    assert {name.removeprefix("--") for name in given} <= set(parser.get())
    assert "run" in parser.get()


@pytest.mark.parametrize("block", blocks_of(README, "python"))
def test_the_python_call_is_one_that_there_is(block: str) -> None:
    calls = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]
    own = [call for call in calls if ast.unparse(call.func) == "renalseg.segment"]
    assert own
    for call in own:
        names = {keyword.arg: None for keyword in call.keywords}
        inspect.signature(renalseg.segment).bind(*call.args, **names)
