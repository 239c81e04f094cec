"""The commands on Windows and macOS, as far as Linux can tell: what those lack is hidden.

The text that is read and written must not depend on the locale's encoding either, which on Windows
is seldom UTF-8.
"""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from tests.e2e.conftest import Program

SYSTEMS = ["windows", "macos"]
HIDING = Path(__file__).parents[1] / "factories" / "other_system.py"


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.slow
def test_every_module_can_be_imported(program: Program, system: str) -> None:
    done = program(HIDING, system, "import")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200


def test_what_is_hidden_is_hidden(program: Program, tmp_path: Path) -> None:
    code = (
        f"import runpy; hide = runpy.run_path({str(HIDING)!r})['hide']; hide('windows')\n"
        "import os, fcntl  # of others\n"
        "assert os.name == 'posix' and os.geteuid() >= 0\n"
        "from renalseg.worker import locks\n"
        "assert not locks.LOCKS and locks.os.name == 'nt'\n"
        "assert not hasattr(locks.os, 'geteuid') and locks.os.getpid() == os.getpid()\n"
    )
    done = program("-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_command_starts(program: Program, system: str) -> None:
    done = program(HIDING, system, "commands")
    assert done.returncode == 0, done.stderr
    assert {"run", "archive", "inspect", "worker", "jobs"} <= set(done.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_sample_is_segmented(
    program: Program, small_sample: Path, tmp_path: Path, system: str
) -> None:
    """Twice, since the second run finds a folder of results, which it replaces."""
    out = tmp_path / "out"
    options = ("--method", "sehdc", "--device", "cpu", "--report", tmp_path / "report")
    call = (HIDING, system, "run", small_sample / "dicom", out, *options)
    first = program("-X", "warn_default_encoding", *call, "--overlay", tmp_path / "overlay")
    assert first.returncode == 0, first.stderr
    own = [line for line in first.stderr.splitlines() if "EncodingWarning" in line]
    assert not [line for line in own if "/renalseg/" in line]
    (seg,) = out.glob("*.seg.dcm")
    before = pydicom.dcmread(seg).PixelData
    second = program(*call, "--allow-gaps")
    assert second.returncode == 0, second.stderr
    assert pydicom.dcmread(seg).PixelData == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "overlay", "report"]
    assert not list(out.glob(".*"))


def test_the_worker_says_what_it_needs(program: Program, tmp_path: Path) -> None:
    call = ("worker", "--orthanc", "http://127.0.0.1:9", "--folder", tmp_path)
    done = program(HIDING, "windows", *call)
    assert done.returncode == 2
    assert "Expected Linux or macOS for the worker" in done.stderr
