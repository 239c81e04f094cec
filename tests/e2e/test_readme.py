"""The README's commands for a study, run as they stand there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from renalseg.dicom.read.series import read_series
from tests.factories.commands import blocks_of, commands_of
from tests.factories.volumes import save

README = Path(__file__).parents[2] / "README.md"
RUN = [
    command
    for command in commands_of(README)
    if command[:2] in (["renalseg", "run"], ["renalseg", "inspect"], ["renalseg", "archive"])
    or command[0] == "monai-deploy"
]
Shell = Callable[[list[str]], subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(tmp_path: Path, small_sample: Path) -> Shell:
    """Runs words in a folder that has what the README names."""
    shutil.copytree(small_sample / "dicom", tmp_path / "dicom_in")
    shutil.copytree(small_sample / "dicom", tmp_path / "studies" / "a")
    series = read_series(small_sample / "dicom").image
    save(tmp_path / "ct.nii.gz", series[0].numpy(), series.affine.numpy())
    for name in ("app", "bundles"):
        (tmp_path / name).symlink_to(README.parent / name)
    programs = {
        "renalseg": [sys.executable, "-m", "renalseg.commands.main"],
        "monai-deploy": [sys.executable, "-m", "renalseg.commands.monai_deploy"],
        "python": [sys.executable],
    }

    def run(words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*programs[words[0]], *words[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=900,
            env={**os.environ, "PYTHONPATH": str(README.parent)},
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("command", RUN, ids=" ".join)
def test_a_command_does_what_it_says(shell: Shell, tmp_path: Path, command: list[str]) -> None:
    done = shell(command)
    assert done.returncode == 0, done.stderr
    if command[1] != "inspect":
        archive, volume = command[1] == "archive", "ct.nii.gz" in command
        out = tmp_path / ("results/a" if archive else "nifti_out" if volume else "seg_out")
        assert {path.suffix for path in out.iterdir()} == {".gz" if volume else ".dcm", ".json"}


@pytest.mark.slow
def test_the_python_lines_say_what_was_found(shell: Shell) -> None:
    (block,) = blocks_of(README, "python")
    done = shell(["python", "-c", block])
    assert done.returncode == 0, done.stderr
    assert "Left kidney" in done.stdout


def test_the_commands_are_those_of_the_readme() -> None:
    assert len(RUN) == 5
