"""What becomes of `make test` when one of its processes dies."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

FILES = {
    "a": "def test_one(): ...",
    "b": "def test_two(): ...",
    "c": "import os\ndef test_deadly(): os.kill(os.getpid(), 9)\ndef test_after(): ...",
    "d": "def test_four(): ...",
}


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_and_is_named(repository: Path, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    said = subprocess.run(
        ["make", "--dry-run", "--assume-old", ".venv/.installed-dev", "test", "JOBS=2"],
        cwd=repository, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    _, _, arguments = said.replace("\\\n", "").partition("-m pytest ")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *shlex.split(arguments), "-p", "tests.conftest", tmp_path],
        cwd=repository, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "ended with -9" in done.stdout
    assert "crashed while running" in done.stdout
    assert "test_c.py::test_deadly" in done.stdout
