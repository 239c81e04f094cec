"""The check of a machine with a GPU, also on one without."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest
import torch

from renalseg.errors import RenalSegError, RetryableError
from tools import gpu
from tools.__main__ import main
from tools.gpu import Check, check_driver, check_pins, run

GOOD = [Check("GPU", "any", "one", True)]


def is_running(number: int) -> bool:
    """Whether there is such a process, other than a zombie."""
    try:
        state, *_ = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gpu", "--json", str(tmp_path / "gpu.json")]) == 2
    said = capsys.readouterr()
    names = [line.split(":")[0].split()[1] for line in said.out.splitlines()]
    assert names == ["driver", "torch", "GPU", "libcudart.so.13", "packages"]
    assert "Expected a machine with a GPU and CUDA 13, found" in said.err
    assert "GPU: none" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
def test_a_machine_for_cuda_passes() -> None:
    assert [check for check in gpu.check_machine() if not check.good] == []


@pytest.mark.parametrize(
    ("found", "good"), [("580.65.06", True), ("610.1", True), ("575.57.08", False), (None, False)]
)
def test_cuda_13_needs_its_driver(found: str | None, good: bool) -> None:
    assert check_driver(found).good == good


def test_packages_of_another_version_are_named(tmp_path: Path) -> None:
    here = torch.__version__.partition("+")[0]
    path = tmp_path / "requirements.txt"
    path.write_text(
        f"# Networks\ntorch=={here}  # first\n\n"
        "numpy>=1 \\\n    --hash=sha256:0\ncolorama==0; sys_platform == 'win64'\n"
    )
    assert check_pins(path) == Check("packages", "those of requirements.txt", "the same", True)
    path.write_text("torch==1.0\nno-such-package==1.0\n")
    check = check_pins(path)
    assert check.found == f"torch {torch.__version__}, no-such-package missing"
    assert not check.good


def test_the_image_is_held_against_what_it_installs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of requirements.txt is left out of it: deploy/image/excluded.txt."""
    lock = (gpu.ROOT / "deploy/image/cuda.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([\w-]+)==(\S+)", lock, re.MULTILINE))
    monkeypatch.setattr(gpu, "_version", locked.get)
    *_, outside = gpu.check_machine()
    monkeypatch.setenv("HOLOSCAN_PKG_MANIFEST_PATH", "/etc/holoscan/pkg.json")
    *_, inside = gpu.check_machine()
    assert inside == Check("packages", "those of cuda.lock", "the same", True)
    assert "tensorboard missing" in outside.found


def test_a_good_machine_is_measured_unless_it_is_only_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(gpu, "check_machine", lambda: iter(GOOD))
    monkeypatch.setattr(gpu, "run", lambda command, seconds: ran.append([*command, str(seconds)]))
    assert main(["gpu", "--check"]) == 0
    assert ran == []
    assert main(["gpu", "--json", str(tmp_path / "gpu.json")]) == 0
    ((*command, seconds),) = ran
    assert command[1:6] == ["-m", "tools", "bench", "--device", "cuda"]
    assert command[-2:] == ["--json", str(tmp_path / "gpu.json")]
    assert 590 < float(seconds) <= 600


def test_what_takes_too_long_ends_with_all_that_it_started(tmp_path: Path) -> None:
    number = tmp_path / "number"
    program = (
        "import pathlib, subprocess, sys; child = subprocess.Popen(['sleep', '60']); "
        f"pathlib.Path({str(number)!r}).write_text(str(child.pid)); child.wait()"
    )
    start = time.monotonic()
    with pytest.raises(RetryableError, match=r"did not end within 0\.1 minutes"):
        run([sys.executable, "-c", program], 5)
    while is_running(int(number.read_text())):
        assert time.monotonic() - start < 30
        time.sleep(0.1)


def test_a_failure_is_told() -> None:
    with pytest.raises(RenalSegError, match="ended with 3"):
        run([sys.executable, "-c", "raise SystemExit(3)"], 60)
