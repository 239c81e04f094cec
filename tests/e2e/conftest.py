"""The sample, and one run of the application on it, for all end-to-end tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from renalseg.synthesis.sample import write_sample

SEED = 1  # not the demo's


@dataclass(frozen=True)
class Run:
    """A finished run of a program on a study."""

    source: Path
    out: Path
    process: subprocess.CompletedProcess[str]

    @property
    def result(self) -> dict[str, Any]:
        return json.loads((self.out / "result.json").read_text())

    @property
    def study(self) -> dict[str, Any]:
        (study,) = self.result["studies"]
        return study

    @property
    def seg(self) -> Path:
        (path,) = self.out.glob("*.seg.dcm")
        return path


Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def program(repository: Path) -> Program:
    """Run a program of the project from the repository root."""

    def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            command, cwd=repository, capture_output=True, text=True, timeout=900, **options
        )

    return run


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, SEED)
    return folder


@pytest.fixture(scope="session")
def small_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_sample(folder, SEED, slices=64, size=128)
    return folder


@pytest.fixture(scope="session")
def application_run(
    sample: Path, program: Program, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    folder = tmp_path_factory.mktemp("run")
    process = program(
        "-m", "renalseg.commands.monai_deploy", "exec", "app", "-i", sample, "-o", folder / "out",
        "--overlay", folder / "picture",
    )  # fmt: skip
    return Run(sample, folder / "out", process)
